# SPDX-License-Identifier: GPL-3.0-or-later
"""Each playbook is a verb that `make`, its help and the README know."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.release import ROOT

VERBS = sorted(path for path in (ROOT / "playbooks").glob("*.yml") if path.stem != "preflight")
MAKEFILE = (ROOT / "Makefile").read_text()
GROUPS = (re.search(r"^GROUPS := (.+)", MAKEFILE, re.MULTILINE) or [""])[1].split()


@pytest.fixture(scope="module")
def shown() -> str:
    return subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("playbook", VERBS, ids=lambda path: path.stem)
def test_each_says_its_group_and_what_it_does(playbook: Path, shown: str) -> None:
    said = re.match(r"---\n## (\w+): (.+)\n", playbook.read_text())
    assert said
    assert said[1] in GROUPS
    assert re.search(rf"^  {playbook.stem} +{re.escape(said[2])}$", shown, re.MULTILINE)


@pytest.mark.parametrize("playbook", VERBS, ids=lambda path: path.stem)
def test_each_is_in_the_readme(playbook: Path) -> None:
    file = "deploy.yml" if playbook.stem == "deploy" else f"playbooks/{playbook.name}"
    assert re.search(rf"^\| `ansible-playbook {file}", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_make_runs_the_playbook() -> None:
    dry = subprocess.run(
        ["make", "-n", "status", "ENV=test", "ARGS=--check"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "ansible-playbook playbooks/status.yml -i test --check" in dry
