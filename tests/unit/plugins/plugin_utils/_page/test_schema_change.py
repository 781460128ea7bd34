# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.schema_change import changed_schema, changes
from support.runs import AFTER, BEFORE, USERS, column, relation

ALONE = relation("shop.orders", column("user_id"))
LINKED = relation("shop.orders", column("user_id"), to={"user_id": "public.users"})
OPTIONAL = relation("shop.orders", column("user_id", required=False))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ([], [], []),
        ([USERS], [USERS], []),
        (None, AFTER, []),
        (BEFORE, None, []),
        ([], [USERS], ["users: table added"]),
        ([USERS], [], ["users: table removed"]),
        ([ALONE], [LINKED], ["shop.orders: reference (user_id) to users added"]),
        ([LINKED], [ALONE], ["shop.orders: reference (user_id) to users removed"]),
        ([ALONE], [OPTIONAL], ["shop.orders.user_id: column changed, bigint null, which was bigint"]),
        ([ALONE], [relation("shop.orders")], ["shop.orders.user_id: column removed, bigint"]),
        (
            BEFORE, AFTER,
            [
                "legacy: table removed", "order_lines: table added",
                "orders.total: column changed, numeric(12,2) null, which was integer",
                "orders.note: column added, text",
            ],
        ),
    ],
)  # fmt: skip
def test_what_became_of_a_schema(before: list[Any] | None, after: list[Any] | None, said: list[str]) -> None:
    tables = changed_schema(before, after)
    assert changes(tables) == said
    assert any(table.mark for table in tables) is bool(said)


def test_a_table_that_is_new_has_no_marks_within() -> None:
    [table] = changed_schema([], [LINKED])
    assert (table.mark, [part.mark for part in (*table.columns, *table.links)]) == ("added", [""] * 3)
