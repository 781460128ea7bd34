# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restore by an operator, and the lock that keeps two runs apart."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from e2e.conftest import Deployed


def test_a_restore_brings_rows_back_and_keeps_the_former_database(deployed: Deployed) -> None:
    deployed.first.succeeded()
    deployed.play("playbooks/backup.yml").succeeded()
    rows, schema, known = deployed.rows(), deployed.schema(), deployed.databases()
    assert rows["builds"] > 0
    deployed.sql("DELETE FROM teams")
    assert deployed.rows()["builds"] == 0

    deployed.play("playbooks/restore.yml").succeeded()

    assert deployed.rows() == rows
    assert deployed.schema() == schema
    [kept] = deployed.databases() - known
    assert kept.startswith("autotest_before_restore_")
    assert deployed.sql("SELECT count(*) FROM teams", database=kept) == [(0,)]
    assert deployed.json("/api/v1/teams")["total"] == rows["teams"]
    deployed.sql(f'DROP DATABASE "{kept}"', database="postgres")
    assert deployed.deploy().succeeded().recap["changed"] == 0


@pytest.fixture
def colleague(deployed: Deployed) -> Path:
    """A lock that somebody took on another controller, so that nobody can tell whether that run still lives."""
    deployed.first.succeeded()
    own = deployed.records()[-1]["run"]
    lock = deployed.state / "lock.json"
    lock.write_text(json.dumps({**own, "user": "maria", "controller": "elsewhere", "machine": "0" * 16, "pid": 4711}))
    return lock


def test_a_lock_is_refused_with_its_holders_name_until_it_is_broken(deployed: Deployed, colleague: Path) -> None:
    held, before = colleague.read_text(), (deployed.dump(), deployed.files(), deployed.processes())
    outcome = deployed.deploy().failed()

    assert outcome.messages == [
        f"autotest/local is locked: deploy by maria@elsewhere (pid 4711) since {json.loads(held)['since']}; "
        "wait until that run ends, or, if it is dead, run playbooks/unlock.yml."
    ]
    assert (deployed.dump(), deployed.files(), deployed.processes()) == before

    output = deployed.play("playbooks/unlock.yml").succeeded().output
    assert "Broke the lock: deploy by maria@elsewhere (pid 4711)" in output
    assert not colleague.exists()


def test_the_lock_of_a_dead_run_of_this_machine_is_taken_over(deployed: Deployed) -> None:
    own = deployed.records()[-1]["run"]
    assert not Path(f"/proc/{own['pid']}").exists() or os.getpid() != own["pid"]
    lock = deployed.state / "lock.json"
    lock.write_text(json.dumps(own))

    deployed.play("playbooks/verify.yml").succeeded()
    assert lock.exists()  # who only looks needs no lock
    deployed.play("playbooks/seed.yml").succeeded()
    assert not lock.exists()
