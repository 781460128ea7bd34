# SPDX-License-Identifier: GPL-3.0-or-later
"""Two phases of a table, run by role phase alone: seen in the ledger, and by SQL."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.role import STATE, databases, refused, sql


def ledger() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (STATE / "deployments.jsonl").read_text().splitlines()]


def seen() -> tuple[object, ...]:
    """What a run whose phase failed leaves as it was."""
    return databases(), sql("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")


def test_those_that_were_due_ran_in_order() -> None:
    newest = ledger()[-1]
    assert newest["status"] == "succeeded"
    assert [(phase["name"], phase["status"]) for phase in newest["phases"]] == [
        ("database", "ok"),
        ("migrations", "ok"),
    ]
    assert sql("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'shop'") == [
        ("slipway.environment=molecule",)
    ]


@pytest.mark.parametrize(
    ("variables", "said", "phases"),
    [
        ({"postgres_version": 99}, "99", [("database", "failed")]),
        ({"migrations_path": "/no/such"}, "/no/such", [("database", "ok"), ("migrations", "failed")]),
    ],
)
def test_a_phase_that_fails_is_recorded_and_no_later_one_runs(
    variables: dict[str, object], said: str, phases: list[tuple[str, str]]
) -> None:
    before, runs = seen(), ledger()
    assert said in refused(**variables)
    newest = ledger()[-1]
    assert len(ledger()) == len(runs) + 1
    assert newest["status"] == "failed"
    assert [(phase["name"], phase["status"]) for phase in newest["phases"]] == phases
    assert seen() == before
    assert not (STATE / "lock.json").exists()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"phase_when": {"nowhere": True}}, "nowhere"),
        ({"phase_table": {"database": {"role": "slipway.deploy.nowhere"}}}, "slipway.deploy.nowhere"),
    ],
)
def test_a_table_that_is_wrong_is_refused_and_nothing_is_written(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before
