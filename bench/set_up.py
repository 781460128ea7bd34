# SPDX-License-Identifier: GPL-3.0-or-later
"""Set-up from nothing, as it was and as it is.

    python bench/set_up.py BEFORE HEAD

Clones each commit, makes its environment with empty caches of pip and uv, once more with the caches that this left,
deploys to `local` for the first time and again, and tears down. Writes the section "Set-up" of ``docs/benchmarks.md``.
"""

from __future__ import annotations

import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from page import ROOT, short, write_section

TITLE = "Set-up"


@dataclass(frozen=True)
class Usage:
    """Seconds by the clock and of all processors."""

    wall: float
    processor: float

    def __str__(self) -> str:
        return f"{self.wall:.0f} s ({self.processor:.0f} s)"


def run(checkout: Path, environment: dict[str, str], *arguments: str) -> Usage:
    """Run a command of make in a checkout, which must succeed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"make {' '.join(arguments)} failed in {checkout}:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Usage(time.monotonic() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def megabytes(directory: Path) -> int:
    """What a directory takes on the disk."""
    return sum(path.lstat().st_blocks for path in directory.rglob("*")) * 512 // 10**6


def measure(commit: str) -> list[str]:
    """The figures of one commit, as the cells of its column."""
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as name, socket.socket() as found:
        folder = Path(name)
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
        checkout = folder / "checkout"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(checkout)], check=True)
        subprocess.run(["git", "checkout", "-q", commit], cwd=checkout, check=True)
        caches = {"PIP_CACHE_DIR": str(folder / "pip"), "UV_CACHE_DIR": str(folder / "uv")}
        # Not the environment that this script runs in.
        environment = {**{k: v for k, v in os.environ.items() if not k.startswith("VIRTUAL_ENV")}, **caches}
        cold = run(checkout, environment, "setup")
        size = megabytes(checkout / ".venv")
        shutil.rmtree(checkout / ".venv")
        warm = run(checkout, environment, "setup")
        found.close()
        settings = f"-e app_port={port} -e state_dir={folder / 'state'}"
        try:
            first = run(checkout, environment, "deploy", f"ARGS={settings}")
            again = run(checkout, environment, "deploy", f"ARGS={settings}")
        finally:
            run(checkout, environment, "teardown", f"ARGS={settings} -e delete_data=true")
    return [str(cold), str(warm), f"{size} MB", str(first), str(again)]


def main() -> None:
    """Measure and write."""
    commits = sys.argv[1:]
    columns = [measure(commit) for commit in commits]
    names = [short(commit) for commit in commits]
    labels = [
        "`make setup`, empty caches",
        "`make setup`, filled caches",
        "`.venv`",
        "first deploy",
        "deploy, nothing to do",
    ]
    rows = ["| " + " | ".join([label, *cells]) + " |" for label, *cells in zip(labels, *columns, strict=True)]
    text = "\n".join(
        [
            f"`make setup` and `make deploy` to `local` at two commits in one run: seconds by the clock, and those of\n"
            f"{os.cpu_count()} processors ({platform.machine()}) in brackets, which\n"
            "other work on the machine lengthens less.\n",
            "| | " + " | ".join(names) + " |",
            "|---|" + "---|" * len(names),
            *rows,
            "",
        ]
    )
    write_section(TITLE, text)


if __name__ == "__main__":
    main()
