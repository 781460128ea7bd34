# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs from Debian's packages, in a directory of the tests where they are not installed."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from support.missing import missing

FETCHING = 120  # seconds


def extracted(directory: Path, *packages: str) -> None:
    """Unpack these packages in ``directory``; nothing is installed."""
    if not shutil.which("apt-get"):
        missing(f"There is no {packages[0]}, and no apt-get that could bring it.")
    ends = time.monotonic() + FETCHING
    while (done := apt_get(directory, "download", *packages)).returncode:
        if time.monotonic() > ends:
            missing(f"There is no {packages[0]}, and apt-get can't bring it: {done.stderr}")
        apt_get(directory, "update")  # a new machine has no lists of packages; another one may be fetching them
        time.sleep(1)
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", str(package), str(directory)], check=True)


def apt_get(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "-qq", *arguments], cwd=directory, capture_output=True, text=True, timeout=FETCHING, check=False
    )
