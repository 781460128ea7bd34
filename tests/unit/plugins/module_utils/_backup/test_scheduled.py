# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock between a schedule and an operator; what a host does with it is seen in the test of the module."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup import scheduled
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger, LockedError
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import run_of, started_ticks

OWN = run_of(os.getpid(), "shop", "test", "scheduled backup")
# Another process that lives.
PARENT = replace(run_of(os.getppid(), "shop", "test", "deploy"), user="maria")


def test_it_waits_for_a_run_that_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path)
    ledger.acquire(PARENT)
    with pytest.raises(LockedError, match="deploy by maria"):
        scheduled.acquire(ledger, OWN, 0)
    monkeypatch.setattr(scheduled.time, "sleep", lambda _seconds: ledger.release(PARENT))
    taken = scheduled.acquire(ledger, OWN, 60)
    assert taken.fence > 0
    assert ledger.holder() == taken


def test_it_takes_over_from_a_run_that_is_dead(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.acquire(replace(PARENT, started_ticks=started_ticks(os.getppid()) - 1))
    assert ledger.holder() != scheduled.acquire(ledger, OWN, 0) or ledger.holder() is not None
    holder = ledger.holder()
    assert holder is not None
    assert holder.verb == "scheduled backup"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"actions": [], "backup": "b1"}, {"status": "succeeded", "facts": {"backup": "b1"}}),
        ({"error": "No."}, {"status": "failed", "facts": {}, "failed_phase": "backup", "error": "No."}),
    ],
)
def test_the_record(found: dict[str, object], told: dict[str, object]) -> None:
    made = scheduled.record(OWN, found)
    assert told.items() <= made.items()
    assert ("error" in made) is (told["status"] == "failed")
    assert (made["verb"], made["run"]["user"]) == ("scheduled backup", OWN.user)
    json.dumps(made)


def test_a_ping_that_is_not_heard() -> None:
    assert scheduled.ping("", "No.") == ""
    assert scheduled.ping("http://127.0.0.1:9/secret", "") == (
        "The ping of 127.0.0.1:9 failed ([Errno 111] Connection refused)."
    )
