# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the modules' results gets into the record, whatever became of their tasks."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.evidence import (
    Applied,
    Evidence,
    Image,
    Schema,
    evidence,
)
from support.runs import AFTER, BEFORE, FOUND


def test_all_that_there_is() -> None:
    found = evidence(FOUND)
    assert found.former == "2e0c"
    assert found.images == [Image("shop-backend:3f1d", "sha256:" + "ab" * 32), Image("nginx:1.28")]
    assert found.applied == [Applied("20260101000000_amounts_are_big", 4.5, 3, 2)]
    assert found.backup
    assert (found.backup.rows, found.backup.tables, found.backup.proved) == (12_345, 2, True)
    assert found.backup.not_away == "The repository does not answer."
    assert found.verification
    assert (found.verification.status, found.verification.tables) == ("up_to_date", 3)
    assert found.schema == Schema(BEFORE, AFTER)


NOTHING = Evidence(images=[], applied=[])


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"backup": {}, "before": {}, "verified": {}, "applied": [], "images": []},
        {"backup": {"skipped": True}, "before": {"failed": True, "msg": "no server"}, "verified": None},
        {"backup": {"backup": {"database": "shop", "proved": False}}},  # check mode
        {"before": {"schema": {"relations": None}}},  # too many tables
    ],
)
def test_nothing(found: dict[str, Any]) -> None:
    assert evidence(found) == NOTHING


@pytest.mark.parametrize("missing", FOUND)
def test_what_is_missing_takes_nothing_else_away(missing: str) -> None:
    assert evidence({name: each for name, each in FOUND.items() if name != missing}) != evidence(FOUND)
