# SPDX-License-Identifier: GPL-3.0-or-later
"""The directories of a host from which the containers of releases read their secrets, one for each set of values.

A container mounts its directory, so that a release that is kept finds what it was started with. A directory that no
container mounts any more is one of a release that is gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._certificate.place import Reader
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import user_name

MODE, DIRECTORY_MODE = 0o600, 0o700


def reader(image: str) -> int:
    """The uid as which containers of an image run. Raises SlipwayError where the image doesn't say it."""
    user = docker.must("image", "inspect", "--format={{.Config.User}}", image).strip()
    return Reader("", image, user or "0").uid()


def differs(directory: Path, files: Mapping[str, str], uid: int) -> bool:
    """Whether the directory holds other files, or somebody else than this user may read them."""
    try:
        found = {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}
        places = [(directory, DIRECTORY_MODE), *((directory / name, MODE) for name in found)]
        rights = all((path.stat().st_uid, path.stat().st_mode & 0o777) == (uid, mode) for path, mode in places)
    except FileNotFoundError:
        return True
    return found != dict(files) or not rights


def write(directory: Path, files: Mapping[str, str], uid: int) -> None:
    """Put the files there, for their reader alone. Raises SlipwayError when this user may not give them to it."""
    try:
        for path in (directory.parent, directory):
            path.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            path.chmod(DIRECTORY_MODE)
        for path in directory.iterdir():
            if path.name not in files:
                path.unlink()
        for name, value in files.items():
            replace_file(str(directory / name), value, MODE, uid)
        shutil.chown(directory, uid)
    except PermissionError as error:
        raise SlipwayError(
            f"User {user_name()} may not give {directory}, which holds the application's secrets, to uid {uid}, as "
            f"whom its image runs ({plain(error)}): become root (ansible_become)."
        ) from error


def unused(directory: Path) -> list[Path]:
    """The directories beside this one that no container of the host mounts; none while the engine does not say."""
    others = [path for path in directory.parent.glob("*") if path != directory]
    containers = docker.must("ps", "--all", "--quiet").split() if others else []
    mounts = "--format={{range .Mounts}}{{println .Source}}{{end}}"
    status, listed = docker.run("container", "inspect", mounts, *containers) if containers else (0, "")
    return [] if status else sorted(path for path in others if str(path) not in listed.splitlines())
