# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a module has come, in words; and what it finds of a dead run, which only the controller knows to be dead."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import run_of
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.progress import shown, watched

LIVE = run_of(os.getppid(), "shop", "test", "deploy")


@pytest.mark.parametrize(
    ("step", "done", "total", "unit", "seconds", "said"),
    [
        ("dumping", 0, 0, "B", 0.0, "dumping"),
        ("dumping", 120_000_000, 0, "B", 4.0, "dumping, 120 MB, 30 MB/s"),
        ("dumping", 90_000_000, 270_000_000, "B", 3.0, "dumping 33 %, 90 MB of 270 MB, 30 MB/s, 6.0 s left"),
        ("dumping", 270_000_000, 270_000_000, "B", 9.0, "dumping 100 %, 270 MB of 270 MB, 30 MB/s"),
        ("comparing", 1200, 2000, "tables", 6.0, "comparing 60 %, 1,200 of 2,000 tables, 4.0 s left"),
        ("comparing", 0, 2000, "tables", 6.0, "comparing 0 %"),
        ("reading", 7, 0, "tables", 6.0, "reading, 7 tables"),
        ("dumping", 5_000_000, 270_000_000, "B", 0.2, "dumping 1 %, 5.0 MB of 270 MB, 25 MB/s"),
    ],
)
def test_a_note(step: str, done: int, total: int, unit: str, seconds: float, said: str) -> None:
    note = {"step": step, "done": done, "total": total, "unit": unit, "seconds": seconds}
    assert shown(note) == said


@pytest.mark.parametrize(
    ("holder", "calls"),
    [
        (None, 1),
        (LIVE, 1),
        (replace(LIVE, boot="another", machine="another"), 1),
        (replace(LIVE, pid=4194305), 2),
    ],
)
def test_what_a_dead_run_left_is_ended_by_a_second_call(holder: Run | None, calls: int) -> None:
    given: list[dict[str, Any]] = []

    def execute(module_args: dict[str, Any], task_vars: object) -> dict[str, Any]:
        given.append(module_args)
        left = holder and "_dead" not in module_args["interrupted"]
        return {"changed": False, **({"left_by": asdict(holder)} if holder and left else {})}

    task = SimpleNamespace(args={"interrupted": {"login_db": "shop"}}, environment=None, delegate_to=None)
    action = cast(ActionBase, SimpleNamespace(_task=task, _execute_module=execute))
    assert watched(action, {"inventory_hostname": "db"}) == {"changed": False}
    assert len(given) == calls
    assert given[1:] == [
        {"interrupted": {"login_db": "shop", "_dead": asdict(holder)}} for _ in range(calls - 1) if holder
    ]
