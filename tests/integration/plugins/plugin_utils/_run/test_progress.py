# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long module has come is seen while it runs: on a terminal all the time, elsewhere every ten seconds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from conftest import Postgres
from support.orphans import sshd, wait_until
from support.playbook import Terminal, play, stays, words

pytestmark = pytest.mark.once
PLAYBOOK = """\
- name: "(1/1) MIGRATE: what takes long"
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Apply
      slipway.deploy.migrations:
        path: "{{ playbook_dir }}/migrations"
        policy: {lint: allow}
      module_defaults:
        slipway.deploy.migrations: "{{ login }}"
"""
TOLD = "1_slow, statement 2 of 2"


def files() -> set[Path]:
    """Where modules write how far they have come."""
    return set(Path("/tmp").glob(".slipway-progress-*"))


def prepared(home: Path, postgres: Postgres, seconds: float, **more: object) -> tuple[str, str]:
    """A migration that takes so many seconds; what is to be given to the playbook."""
    (home / "migrations/1_slow").mkdir(parents=True)
    (home / "migrations/1_slow/migration.sql").write_text(f"CREATE TABLE t ();\nSELECT pg_sleep({seconds});\n")
    return "-e", json.dumps({"login": {**postgres.login(postgres.database())}, **more})


def test_a_terminal_shows_it_in_the_place_of_the_task(tmp_path: Path, postgres: Postgres) -> None:
    before = files()
    terminal = Terminal(tmp_path, *prepared(tmp_path, postgres, 6), playbook=PLAYBOOK, NO_COLOR="1")
    assert f"(1/1) MIGRATE  {TOLD}  " in terminal.until(f"{TOLD}  6 s")
    written = files() - before
    assert terminal.end() == 0
    assert written
    wait_until(lambda: not written & files())  # those of other tests that run beside this one go as well
    seconds = {int(found) for found in re.findall(rf"{TOLD}  (\d+) s", terminal.seen)}
    assert seconds >= set(range(min(seconds), 6))  # each second is seen
    assert "1_slow, statement" not in stays(terminal.seen)


def test_a_log_has_a_line_every_ten_seconds_also_behind_ssh(tmp_path: Path, postgres: Postgres) -> None:
    with sshd(tmp_path) as server:
        given = prepared(tmp_path, postgres, 12, **server.variables)
        told = words(tmp_path, play(tmp_path, *given, playbook=PLAYBOOK))
    assert told.splitlines()[0] == f"(1/1) MIGRATE    so far: {TOLD}"
    assert told.count("1_slow, statement") == 1
