# SPDX-License-Identifier: GPL-3.0-or-later
"""The file from which the entrypoint of a server's container takes the superuser's password.

The official image's entrypoint reads it as root before it becomes the server's user, so that it is its owner's alone;
whoever may inspect the container doesn't see it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file

MODE, DIRECTORY_MODE = 0o600, 0o700


def differs(path: Path, password: str) -> bool:
    """Whether the file holds another password or none, or others may read it."""
    try:
        modes = (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)
        return modes != (MODE, DIRECTORY_MODE) or path.read_text(encoding="utf-8") != password
    except FileNotFoundError:
        return True


def write(path: Path, password: str) -> None:
    """Put the password there, in a directory that holds nothing else."""
    path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    path.parent.chmod(DIRECTORY_MODE)
    replace_file(str(path), password, MODE)


def in_environment(environment: Iterable[str]) -> bool:
    """Whether a container's environment, entries NAME=VALUE, holds the password itself."""
    return any(entry.startswith("POSTGRES_PASSWORD=") for entry in environment)
