# SPDX-License-Identifier: GPL-3.0-or-later
"""What this host has: the user, the space."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path


def existing(directory: Path) -> Path:
    """The directory, or the nearest one above it that exists."""
    while not directory.exists():
        directory = directory.parent
    return directory


def user_name() -> str:
    """Who runs this module; the number where the user has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def free_megabytes(directory: Path) -> int:
    """Free space of the file system on which the directory is, or will be."""
    return shutil.disk_usage(existing(directory)).free // 2**20
