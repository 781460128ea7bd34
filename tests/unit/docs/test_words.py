# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that were given up for plainer ones do not come back, in code, texts or names of files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.release import ROOT

# What was said, as a pattern, and what is said instead.
RETIRED = {
    r"\bdoors?\b|_door\b": "relay",
    r"\bhopeless": "failure_reason",
    r"\bsuperfluous\b|\bsurplus\b|\bretire": "prune",
    r"\bundoable\b": "undo",
    r"\bmigration_down\b": "migration_undo",
    r"\btelling_of_the_password\b": "explain_password_failure",
    r"\blets_in\b": "password_works",
    r"\blets nobody in\b": "rejects role",
    r"\bAround\b|\bnothing_around\b|\baround_from_params\b": "ApplyContext",
    r"\bbegun\b|\bapplied in part\b": "half-applied, or started",
    r"\bhalf applied\b": "half-applied",
    r"can't be gone on with": "can't be resumed",
    r"\bbesides (the|its) migrations\b": "outside its migrations",
    r"\bpasses row security\b": "bypasses row-level security",
    r"\bdoes not do what it is asked\b": "refused the request",
    r"\b[Ll]ead nginx to\b": "point nginx at",
    r"\bwhat you told me\b": "variables",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bsmall letters\b": "lower-case letters",
    r"\bname typed\b": "asks for its name",
}
# An earlier version's word that is still read, or still taken.
KEPT = {"plugins/module_utils/_release/process.py": r'"door"|the door\.'}


def texts() -> Iterator[Path]:
    folders = ("plugins", "playbooks", "roles", "docs", "bench", "tools", "inventories", "meta")
    for folder in folders:
        yield from (path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".yml", ".md", ".j2", ".txt"})
    yield from (ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "RELEASING.md", "deploy.yml"))


TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in texts()}


def test_all_is_read() -> None:
    assert len(TEXTS) > 250


@pytest.mark.parametrize("retired", RETIRED)
def test_retired(retired: str) -> None:
    found = []
    for name, text in TEXTS.items():
        kept = re.sub(KEPT[name], "", text) if name in KEPT else text
        found += [f"{name}: {match.group()}" for match in re.finditer(retired, kept)]
        found += [name] if re.search(retired, Path(name).stem) else []
    assert not found, f"say {RETIRED[retired]!r}"
