# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration did to tables, and which of its locks are too long for those who use them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import (
    Impact,
    Limits,
    Relation,
    Touched,
    Use,
    blocking,
    mode,
    touched,
    with_use,
)

MEGABYTE = 1_000_000
LARGE, SMALL = 101 * MEGABYTE, 99 * MEGABYTE


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("AccessExclusiveLock", "ACCESS EXCLUSIVE"),
        ("ShareUpdateExclusiveLock", "SHARE UPDATE EXCLUSIVE"),
        ("RowShareLock", "ROW SHARE"),
        ("ShareLock", "SHARE"),
    ],
)
def test_modes(name: str, words: str) -> None:
    assert mode(name) == words


def impact(*tables: Touched, complete: bool = True) -> Impact:
    return Impact("1_a", 2.0, 4096, False, 100, 200, complete, tables)


# Locks in seconds, size, the statements and writes a second of the live server, and the lock that is found.
FOUND = [
    ({"ACCESS EXCLUSIVE": 1.1}, LARGE, None, "ACCESS EXCLUSIVE"),
    ({"ACCESS EXCLUSIVE": 1.0}, LARGE, None, ""),
    ({"ACCESS EXCLUSIVE": 1.1}, SMALL, None, ""),
    ({"ACCESS EXCLUSIVE": 1.1}, SMALL, Use(0, 1.1, 0.0), "ACCESS EXCLUSIVE"),
    ({"ACCESS EXCLUSIVE": 1.1}, SMALL, Use(0, 1.0, 1.0), ""),
    ({"ACCESS EXCLUSIVE": 1.1}, SMALL, Use(LARGE), "ACCESS EXCLUSIVE"),
    ({"ACCESS EXCLUSIVE": 1.1}, LARGE, Use(SMALL), ""),  # the live table counts
    ({"SHARE": 1.1}, SMALL, Use(0, 9.0, 1.0), ""),  # readers don't wait
    ({"SHARE": 1.1}, SMALL, Use(0, 9.0, 1.1), "SHARE"),
    ({"SHARE ROW EXCLUSIVE": 1.1}, LARGE, None, "SHARE ROW EXCLUSIVE"),
    ({"EXCLUSIVE": 1.1}, LARGE, None, "EXCLUSIVE"),
    ({"SHARE": 9.0, "ACCESS EXCLUSIVE": 1.1}, LARGE, None, "ACCESS EXCLUSIVE"),
    ({"SHARE": 9.0, "ACCESS EXCLUSIVE": 0.1}, LARGE, None, "SHARE"),
    ({"SHARE UPDATE EXCLUSIVE": 9.0, "ROW EXCLUSIVE": 9.0, "ROW SHARE": 9.0, "ACCESS SHARE": 9.0}, LARGE, None, ""),
]


@pytest.mark.parametrize(("locks", "size", "live", "found"), FOUND)
def test_which_locks_are_too_long(locks: dict[str, float], size: int, live: Use | None, found: str) -> None:
    findings = blocking([impact(Touched("public.t", locks, size, size, live=live))], Limits())
    assert [each.text.partition(" holds ")[2].partition(" on the table ")[0] for each in findings] == [found] * bool(
        found
    )
    assert all((each.rule, each.migration) == ("blocking", "1_a") for each in findings)


ORDERS = Touched("public.orders", {"ACCESS EXCLUSIVE": 4.2}, 1_200_000_000, 1_300_000_000)
BUSY = Use(1_200_000_000, 35.2, 3.5, ("SELECT * FROM orders",))
REMEDIES = [
    (
        replace(ORDERS, rewritten=True, live=BUSY),
        "holds ACCESS EXCLUSIVE on the table public.orders (1.2 GB, 35 statements a second) for 4.2 s, while the table "
        "is rewritten: reads and writes would wait, about 148 statements at the present rate. Among them: SELECT * "
        "FROM orders. Rather than have the table rewritten, add a column beside the old one, fill it in batches, and "
        "change to it in a later release.",
    ),
    (
        replace(ORDERS, locks={"SHARE": 200.0}, live=replace(BUSY, queries=())),
        "holds SHARE on the table public.orders (1.2 GB, 3.5 writes a second) for 3.3 min: writes would wait, about "
        "700 writes at the present rate. Build the index with CREATE INDEX CONCURRENTLY, in a migration of its own.",
    ),
    (
        replace(ORDERS, counts={"scans": 1}),
        "holds ACCESS EXCLUSIVE on the table public.orders (1.2 GB) for 4.2 s: reads and writes would wait. Add a "
        "constraint with NOT VALID, and VALIDATE it in a migration of its own; SET NOT NULL reads no rows where a "
        "valid CHECK says the same, and a unique constraint takes an index that was built CONCURRENTLY.",
    ),
    (
        replace(ORDERS, counts={"scans": 0}),
        "holds ACCESS EXCLUSIVE on the table public.orders (1.2 GB) for 4.2 s: reads and writes would wait. What takes "
        "long beside this lock belongs in a migration of its own, which holds none.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("table", "text"), REMEDIES)
def test_what_is_said_of_it(table: Touched, text: str) -> None:
    (finding,) = blocking([impact(table)], Limits())
    assert finding.text == f"The migration '1_a', rehearsed on a copy, {text}"


T = Relation("public.t", 100, 8192, 16384, {"scans": 1, "rows_read": 5})
# The table before and after, and what became of it: its size, whether it was rewritten, what was counted.
CHANGES = [
    (T, (16384, False, {"scans": 0, "rows_read": 0})),
    (replace(T, filenode=101, counts={"scans": 2, "rows_read": 9}), (16384, True, {"scans": 1, "rows_read": 4})),
    (replace(T, filenode=101, rows_size=0, size=8192), (8192, False, {"scans": 0, "rows_read": 0})),  # TRUNCATE
    (None, (None, False, {})),
]


@pytest.mark.parametrize(("after", "found"), CHANGES)
def test_what_became_of_a_table(after: Relation | None, found: tuple[object, ...]) -> None:
    relations = {1: after} if after else {}
    (table,) = touched({(1, "SHARE"): 1.0, (2, "SHARE"): 2.0}, {1: T}, relations)
    assert (table.table, table.locks) == ("public.t", {"SHARE": 1.0})  # the other one is new
    assert (table.size_after, table.rewritten, table.counts) == found


@pytest.mark.parametrize(
    ("locks", "complete", "changed"),
    [
        (("ACCESS SHARE", "ROW SHARE", "SHARE"), True, False),
        (("ACCESS SHARE",), False, True),
        (("ROW EXCLUSIVE",), True, True),
        (("SHARE UPDATE EXCLUSIVE",), True, True),
    ],
)
def test_whether_a_table_may_have_been_changed(locks: tuple[str, ...], complete: bool, changed: bool) -> None:
    read, other = Touched("r", {"ACCESS SHARE": 1.0}, 0, 0), Touched("t", dict.fromkeys(locks, 1.0), 0, 0)
    assert impact(read, other, complete=complete).changed_tables == changed


def test_the_result() -> None:
    table = Touched("public.t", {"SHARE": 0.5, "ROW SHARE": 1.23456}, 10, None, counts={"scans": 2})
    (found,) = with_use([impact(table)], {"public.t": Use(30, 1.5, 0.5, ("SELECT 1",))})
    assert found.result() == {
        "migration": "1_a", "seconds": 2.0, "wal": 4096, "wal_own": False, "size_before": 100, "size_after": 200,
        "complete": True,
        "tables": [{
            "table": "public.t",
            "locks": [
                {"mode": "ROW SHARE", "seconds": 1.235, "blocks": ""},
                {"mode": "SHARE", "seconds": 0.5, "blocks": "writes"},
            ],
            "rewritten": False, "size_before": 10, "size_after": None,
            "scans": 2, "rows_read": None, "rows_inserted": None, "rows_updated": None, "rows_deleted": None,
            "live_size": 30, "live_statements": 1.5, "live_writes": 0.5, "live_queries": ["SELECT 1"],
        }],
    }  # fmt: skip
    unknown = with_use([impact(table)], {})[0].result()["tables"][0]
    assert [unknown[f"live_{name}"] for name in ("size", "statements", "writes", "queries")] == [None, None, None, []]


@pytest.mark.parametrize(
    ("given", "limits"),
    [(None, Limits(1.0, 100.0, 1.0)), ({"seconds": 0.5, "megabytes": None}, Limits(0.5, 100.0, 1.0))],
)
def test_limits(given: dict[str, float | None] | None, limits: Limits) -> None:
    assert Limits.from_params({"blocking_limits": given}) == limits
