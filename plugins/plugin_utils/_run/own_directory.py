# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of this user's alone, in which one run leaves for the next what it need not make again."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

KEPT = 4  # directories of a kind


def own_directory(home: Path, kind: str, name: str) -> Path:
    """The directory ``slipway/KIND/NAME`` below Ansible's home, and away with what was not used for longest.

    ``name`` says of what it is, so that nothing else is found there. Raises OSError where it can't be made, or where
    somebody else could have put something into it, since what is found there is run.
    """
    home.mkdir(parents=True, exist_ok=True)
    parent = home / "slipway" / kind
    own = parent / name
    for each in (parent.parent, parent, own):  # each by itself, since mkdir's mode is not that of the parents it makes
        each.mkdir(mode=0o700, exist_ok=True)
        found = each.stat()
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise PermissionError(f"{each} is not used, since others may write to it")
    os.utime(own)
    for former in sorted(parent.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)[KEPT:]:
        shutil.rmtree(former, ignore_errors=True)
    return own
