# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found, for a person or for a program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.playbook import Terminal, play, stays

pytestmark = pytest.mark.once
PLAYBOOK = """\
- name: "LIST: the backups"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Do what is not shown
      ansible.builtin.debug:
        msg: "Mind it."
    - name: Show them
      slipway.deploy.show:
        title: "shop: 2 backups"
        columns: [backup, {name: rows, align: right}, {name: problem, key: why}]
        rows:
          - {backup: first, rows: 1200}
          - [second, 3, "its checksum is not what its manifest says, so that nothing can be said"]
        lines: [One is damaged.]
        text: {prometheus: "backups 2"}
    - name: Say whether it is well
      ansible.builtin.assert:
        that: well | default(true) | bool
        quiet: true
        fail_msg: One is damaged.
"""


def test_a_table_fits_the_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, playbook=PLAYBOOK, NO_COLOR="1")
    assert terminal.end() == 0
    assert stays(terminal.seen).splitlines() == [
        "Mind it.",
        "shop: 2 backups",
        "  backup   rows  problem",
        "  first   1,200",
        "  second      3  its checksum is not what its manifest says, so that nothing can",
        "                 be said",
        "One is damaged.",
        "localhost: ok=3 changed=0 failed=0",
    ]


def test_another_callback_shows_it_too(tmp_path: Path) -> None:
    assert "  first   1,200" in play(tmp_path, playbook=PLAYBOOK, ANSIBLE_STDOUT_CALLBACK="default")


def test_for_a_program_there_is_nothing_else(tmp_path: Path) -> None:
    found = json.loads(play(tmp_path, "-e", "output=json", playbook=PLAYBOOK))
    assert found[0] == {"backup": "first", "rows": 1200, "problem": None}
    assert play(tmp_path, "-e", "output=prometheus", playbook=PLAYBOOK) == "backups 2\n"


def test_a_failure_is_beside_it(tmp_path: Path) -> None:
    printed = play(tmp_path, "-e", "output=json", "-e", "well=false", playbook=PLAYBOOK, code=2)
    found, end = json.JSONDecoder().raw_decode(printed)
    assert len(found) == 2
    assert "FAILED: Say whether it is well" in printed[end:]
    assert (
        play(tmp_path, "-e", "output=json", "-e", "well=false", playbook=PLAYBOOK, code=2, errors=False)[end:] == "\n"
    )


def test_what_can_not_be_printed(tmp_path: Path) -> None:
    printed = play(tmp_path, "-e", "output=xml", playbook=PLAYBOOK, code=2)
    assert "This is not shown as xml: set -e output= to one of table, json, prometheus." in printed
