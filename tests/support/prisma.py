# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Prisma Migrate, from its package and through its JavaScript driver: no engine binary is downloaded or run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from support.missing import missing
from support.release import ROOT

CONFIGURATION = ROOT / "tests" / "integration" / "prisma"
WORK = ROOT / ".cache" / "prisma"


def installed() -> Path:
    """Where Prisma is, with the configuration of the tests."""
    if not shutil.which("npm"):
        missing("npm is not installed, so that Prisma can't be")
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "prisma.config.ts", "schema.prisma", "unref.cjs"):
            shutil.copy(CONFIGURATION / name, WORK)
        if not (WORK / "node_modules" / ".bin" / "prisma").exists():
            install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            subprocess.run(install, cwd=WORK, check=True, timeout=600)
    return WORK


def environment(migrations: Path, settings: Mapping[str, str], schema: str = "public", url: str = "") -> dict[str, str]:
    """With what environment it runs: by libpq's ``settings``, or by ``url`` where that is given."""
    return {
        **os.environ,
        **({} if url else settings),
        "DATABASE_URL": url or "postgresql://unused",
        "CONNECTION_URL": url,
        "SCHEMA": schema,
        "MIGRATIONS": str(migrations),
        "CHECKPOINT_DISABLE": "1",
        "NO_COLOR": "1",
        "NODE_OPTIONS": "--require ./unref.cjs",
        # A program in their place keeps Prisma from downloading its engines. It asks one whether it can connect.
        "PRISMA_QUERY_ENGINE_LIBRARY": "/bin/true",
        "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true",
    }


def migrate(directory: Path, environ: Mapping[str, str], *arguments: str) -> tuple[int, str]:
    """Run ``prisma migrate`` and return its exit code and what it said."""
    done = subprocess.run(
        ["node_modules/.bin/prisma", "migrate", *arguments],
        cwd=directory, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
