# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of a host from which the containers of releases read their secrets, one for each set of values.

A container mounts its directory, so that a release that is kept finds what it was started with. A directory that no
container mounts any more is one of a release that is gone.
"""

from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._certificate.place import Reader
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker


def reader(image: str) -> int:
    """The uid as which containers of an image run. Raises SlipwayError where the image doesn't say it."""
    user = docker.must("image", "inspect", "--format={{.Config.User}}", image).strip()
    return Reader("", image, user or "0").uid()


def unused(directory: Path) -> list[Path]:
    """The directories beside this one that no container of the host mounts; none while the engine does not say."""
    others = [path for path in directory.parent.glob("*") if path != directory]
    containers = docker.must("ps", "--all", "--quiet").split() if others else []
    mounts = "--format={{range .Mounts}}{{println .Source}}{{end}}"
    status, listed = docker.run("container", "inspect", mounts, *containers) if containers else (0, "")
    return [] if status else sorted(path for path in others if str(path) not in listed.splitlines())
