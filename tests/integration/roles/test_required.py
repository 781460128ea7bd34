# SPDX-License-Identifier: GPL-3.0-or-later
"""A role that is used alone says what it was not told, and has done nothing by then."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.release import ROOT, ansible

pytestmark = pytest.mark.once
PLAY = """\
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: slipway.deploy.{role}
        tasks_from: {entry}
"""


def required() -> list[tuple[str, str, list[str]]]:
    """Each role that has to be told something, the entry point that wants most, and what that is."""
    found = []
    for file in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        entries = {
            entry: sorted(name for name, option in spec.get("options", {}).items() if option.get("required"))
            for entry, spec in yaml.safe_load(file.read_text())["argument_specs"].items()
        }
        entry = max(entries, key=lambda entry: len(entries[entry]))
        if entries[entry] and (ROOT / f"roles/{file.parts[-3]}/tasks/{entry}.yml").exists():
            found.append((file.parts[-3], entry, entries[entry]))
    return found


@pytest.mark.parametrize(("role", "entry", "names"), required(), ids=[role for role, _, _ in required()])
def test_what_it_was_not_told(tmp_path: Path, role: str, entry: str, names: list[str]) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "play.yml").write_text(PLAY.format(role=role, entry=entry))
    done = ansible(here, "ansible-playbook", "-i", "localhost,", "-c", "local", str(tmp_path / "play.yml"))
    assert done.returncode
    said = " ".join(done.stdout.split())
    # Where another variable's default is made from one, Ansible does not come to list them.
    told = [f"missing required arguments: {', '.join(names)}", *(f"'{name}' is undefined" for name in names)]
    assert any(sentence in said for sentence in told), said
    assert sorted(path.name for path in here.iterdir()) in ([], [".ansible"])
