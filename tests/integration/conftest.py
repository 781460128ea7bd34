# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests beside real Prisma begin with."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

import pytest
from support.missing import missing

HERE = Path(__file__).parent / "prisma"
WORK = HERE.parents[2] / ".cache" / "prisma"


@pytest.fixture(scope="session")
def prisma_directory() -> Path:
    """Prisma from its package, with the configuration of the tests."""
    if not shutil.which("npm"):
        missing("npm is not installed, so that Prisma can't be")
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "prisma.config.ts", "schema.prisma", "unref.cjs"):
            shutil.copy(HERE / name, WORK)
        if not (WORK / "node_modules" / ".bin" / "prisma").exists():
            install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            subprocess.run(install, cwd=WORK, check=True, timeout=600)
    return WORK
