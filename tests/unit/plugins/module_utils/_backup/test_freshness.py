# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.drill import Drill
from ansible_collections.slipway.deploy.plugins.module_utils._backup.freshness import Limits, problems

NOW = datetime.datetime(2025, 8, 6, 12, tzinfo=datetime.UTC)
LIMITS = Limits(age=26, drill_age=192, away=True, drills=True)
BACKUP: dict[str, Any] = {"name": "new", "proved": True, "age": 3600, "where": "both"}
OLD = {**BACKUP, "name": "old", "age": 50 * 3600}
DRILL = Drill("2025-08-05T12:00:00+00:00", "new", "away", 1.5)


@pytest.mark.parametrize(
    ("backups", "drill", "limits", "expected"),
    [
        ([OLD, BACKUP], DRILL, {}, []),
        ([{**BACKUP, "where": "away"}], DRILL, {}, []),
        ([], DRILL, {}, ["There is no proved backup: take one."]),
        ([{**BACKUP, "proved": False}], DRILL, {}, ["There is no proved backup: take one."]),
        ([{"name": "unreadable", "proved": False}], DRILL, {}, ["There is no proved backup: take one."]),
        ([{**BACKUP, "proved": False}, OLD], DRILL, {}, [
            "The newest proved backup, old, is 2.1 days old, and 26 h are allowed: see why none was taken since, and "
            "take one."]),
        ([OLD], DRILL, {"age": 50}, []),
        ([{**BACKUP, "where": "here"}, OLD], DRILL, {}, [
            "The newest proved backup, new, is not away from its host: take another one."]),
        ([{**BACKUP, "where": "here"}], DRILL, {"away": False}, []),
        ([BACKUP], None, {}, ["No drill was made yet: see that its timer runs, or start its service."]),
        ([BACKUP], None, {"drills": False}, []),
        ([BACKUP], replace(DRILL, problem="It went wrong."), {"drills": False}, [
            "The last drill, 2025-08-05T12:00:00+00:00, failed: It went wrong."]),
        ([BACKUP], DRILL, {"drill_age": 23.5}, [
            "The last drill was 24 h ago, and 23.5 h are allowed: see that its timer runs, or start its service."]),
        ([BACKUP], DRILL, {"drill_age": 23.5, "drills": False}, []),
    ],
)  # fmt: skip
def test_what_is_not_as_it_should_be(
    backups: list[dict[str, Any]], drill: Drill | None, limits: dict[str, Any], expected: list[str]
) -> None:
    assert problems(backups, drill, replace(LIMITS, **limits), NOW) == expected
