# SPDX-License-Identifier: GPL-3.0-or-later
"""The commit that a directory's files are of."""

from __future__ import annotations

import os
import subprocess

_LIMIT = 10  # seconds, on a disk that is slow


def revision(directory: str) -> str:
    """The full hash of the commit that is checked out there, with ``-dirty`` where a file of it was changed since.

    '' for a directory in no repository of git, for one without a commit, and where git can't or won't say.
    """
    # What a hook of git hands on is about another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=_LIMIT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.strip()
