# SPDX-License-Identifier: GPL-3.0-or-later
"""What rows of the history say, and the statements that write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import (
    NOW,
    ROW_LOST,
    History,
    HistoryTable,
    Row,
)

THEN = datetime(2025, 1, 2, tzinfo=UTC)


def row(name: str, finished: bool = False, rolled_back: bool = False) -> Row:
    return Row("id", "sum", THEN if finished else None, name, None, THEN if rolled_back else None, THEN, 1)


@pytest.mark.parametrize(
    ("finished", "rolled_back", "failed"),
    [(False, False, True), (True, False, False), (False, True, False), (True, True, False)],
)
def test_a_failed_row(finished: bool, rolled_back: bool, failed: bool) -> None:
    assert row("1_a", finished, rolled_back).failed is failed


def test_what_is_applied() -> None:
    rows = (row("2_b", True), row("1_a"), row("1_a", True), row("3_c", True, True), row("2_b", True))
    assert History(rows).applied == ("2_b", "1_a")
    assert History(None).applied == ()


def test_a_row_that_is_not_written_is_an_error() -> None:
    table = HistoryTable('my "schema" 5%')
    assert table.quoted == '"my ""schema"" 5%"._prisma_migrations'
    sql, values = table.insert({"id": "x", "started_at": NOW})
    assert (
        'INSERT INTO "my ""schema"" 5%%"._prisma_migrations (id, started_at) VALUES (%(id)s, clock_timestamp())' in sql
    )
    assert ROW_LOST in sql
    assert values == {"id": "x", "started_at": NOW}
    sql, values = table.update("x", {"logs": "no", "finished_at": NOW})
    assert (
        "SET logs = %(logs)s, finished_at = clock_timestamp() WHERE id = %(id)s AND rolled_back_at IS NULL RETURNING 1"
    ) in sql
    assert values == {"id": "x", "logs": "no", "finished_at": NOW}
