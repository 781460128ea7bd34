# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a container's data directory is what a first start that was cut short has left, and nothing else."""

from __future__ import annotations

from collections.abc import Collection

from ansible_collections.slipway.deploy.plugins.module_utils._host import docker

FIRST_USER_OID = 16384  # of a database that is not initdb's (access/transam.h)
# The paths that tell, relative to the data directory, wherever in the volume it lies.
_LIST = (
    'data=$(find /volume -maxdepth 3 -name PG_VERSION -not -path "*/base/*" | head -n 1); [ -n "$data" ] || exit 0; '
    'cd "${data%/*}" && ls -d PG_VERSION postmaster.opts base/* pg_tblspc/* 2>/dev/null; true'
)


def never_served(paths: Collection[str], running: bool) -> bool:
    """Whether a data directory with these paths can never have served anybody, since its initdb did not end.

    initdb makes three databases, the last at its end, and only after it a server is started, which writes
    postmaster.opts. ``running`` says that the container works, on its initdb maybe. A database of a user, or a
    tablespace, is proof of use.
    """
    databases = [int(path[5:]) for path in paths if path.startswith("base/") and path[5:].isdigit()]
    used = any(oid >= FIRST_USER_OID for oid in databases) or any(path.startswith("pg_tblspc/") for path in paths)
    if "PG_VERSION" not in paths or used:
        return False
    return len(databases) < 3 and ("postmaster.opts" in paths or not running)


def look(volume: str, image: str) -> list[str]:
    """Those paths of the data directory in a volume, read by a container of its own."""
    mount = f"type=volume,source={volume},target=/volume,readonly"
    status, output = docker.run(
        "run", "--rm", "--network", "none", "--mount", mount, "--entrypoint", "sh", image, "-c", _LIST
    )
    return output.split() if status == 0 else []
