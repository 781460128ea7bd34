# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a run works on a host: told by its lock, and by the fence that its modules hold."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import Fence
from ansible_collections.slipway.deploy.plugins.module_utils._run.idle import idle
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger, Run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import run_of

LIVE = run_of(os.getpid(), "shop", "test", "deploy")
DEAD = replace(LIVE, pid=4194305)
REMOTE = replace(DEAD, boot="another", machine="another")


@pytest.mark.parametrize(
    ("holder", "dead", "alone"),
    [
        (None, None, True),
        (LIVE, None, False),
        (DEAD, None, True),
        (REMOTE, None, False),
        (REMOTE, REMOTE, True),
        (REMOTE, replace(REMOTE, pid=1), False),
        (LIVE, REMOTE, False),
    ],
)
def test_by_the_lock(tmp_path: Path, holder: Run | None, dead: Run | None, alone: bool) -> None:
    ledger = Ledger(tmp_path)
    ledger.acquire(LIVE)
    ledger.release(LIVE)
    if holder:
        ledger.acquire(holder)
        holder = ledger.holder()
    with idle(tmp_path, dead) as found:
        assert found == (alone, holder)


def test_where_no_run_ever_was(tmp_path: Path) -> None:
    with idle(tmp_path) as found:
        assert found == (False, None)
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_is_at_work_counts_and_one_that_begins_waits(tmp_path: Path) -> None:
    Ledger(tmp_path).acquire(DEAD)
    held = Ledger(tmp_path).holder()
    assert held
    with Fence(tmp_path, held.fence).held(), idle(tmp_path) as found:
        assert found == (False, None)
    with idle(tmp_path) as found, (tmp_path / "fence").open() as opened:
        assert found == (True, held)
        with pytest.raises(BlockingIOError):
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with Fence(tmp_path, held.fence).held():
        pass
