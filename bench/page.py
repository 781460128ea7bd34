# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that the benchmarks write, a section each, and the commits that they compare."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"


def write_section(title: str, text: str) -> None:
    """Put a section in the place of the one with its title, or at the end, and print it."""
    heading = f"\n## {title}\n"
    before, _, rest = PAGE.read_text().partition(heading)
    _, found, after = rest.partition("\n## ")
    PAGE.write_text(f"{before.rstrip()}\n{heading}\n{text}" + (f"\n## {after}" if found else ""))
    print(text)


def short(commit: str) -> str:
    """A commit's short name."""
    command = ["git", "rev-parse", "--short", commit]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
