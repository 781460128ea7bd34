# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the host from which a container reads secrets, in a directory of their own that it mounts.

Whoever may inspect the container sees that there are such files, and not what is in them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import user_name

MODE, DIRECTORY_MODE = 0o600, 0o700


def differs(directory: Path, files: Mapping[str, str], uid: int | None = None) -> bool:
    """Whether the directory holds other files, by their names, or somebody else than ``uid`` may read them.

    Without ``uid`` they are this user's own.
    """
    owner = os.geteuid() if uid is None else uid
    try:
        found = {path.name: path.read_text(encoding="utf-8") for path in directory.iterdir()}
        places = [(directory, DIRECTORY_MODE), *((directory / name, MODE) for name in found)]
        rights = all((path.stat().st_uid, path.stat().st_mode & 0o777) == (owner, mode) for path, mode in places)
    except FileNotFoundError:
        return True
    return found != dict(files) or not rights


def write(directory: Path, files: Mapping[str, str], uid: int | None = None) -> None:
    """Put the files there, and no others, for their reader alone. A directory above that is new is this user's alone.

    Raises SlipwayError when this user may not give them to ``uid``.
    """
    owner = os.geteuid() if uid is None else uid
    try:
        directory.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        directory.chmod(DIRECTORY_MODE)
        for path in directory.iterdir():
            if path.name not in files:
                path.unlink()
        for name, value in files.items():
            replace_file(str(directory / name), value, MODE, owner)
        shutil.chown(directory, owner)
    except PermissionError as error:
        raise SlipwayError(
            f"User {user_name()} may not give {directory}, which holds secrets, to uid {owner}, which reads them in a "
            f"container ({plain(error)}): become root (ansible_become)."
        ) from error
