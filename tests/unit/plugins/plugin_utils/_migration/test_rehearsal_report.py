# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads of a rehearsal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import Touched, results
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.rehearsal_report import lines, shown
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import plain
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.table import Column, table
from support.rehearsals import ORDERS, QUICK, REHEARSAL, SEEN


def test_the_table() -> None:
    found = shown(REHEARSAL)
    assert found
    rendered = [plain(line) for line in table([Column.parse(each) for each in found["columns"]], found["rows"], 120)]
    assert [found["title"], *rendered, *found["lines"]] == [
        "On the copy: locks that others would wait for, and tables that are rewritten",
        "  migration                       table       lock               held    size  waiting/s  rows",
        "  20260101000000_amounts_are_big  orders      ACCESS EXCLUSIVE  4.2 s  1.2 GB         35  rewritten",
        "                                  shop.users  SHARE             0.3 s  1.2 GB             24,000,000 read",
        "1.4 GB of WAL, the database 3.0 GB → 3.1 GB",
    ]


MATTERS = [
    (ORDERS, True),
    (QUICK, False),
    (replace(QUICK, locks={"SHARE": 0.2}), True),
    (replace(QUICK, locks={"SHARE UPDATE EXCLUSIVE": 9.0, "ROW EXCLUSIVE": 9.0}), False),  # which keep nobody waiting
    (replace(ORDERS, locks={"ACCESS EXCLUSIVE": 0.1}), True),  # rewritten
    (replace(ORDERS, locks={"ACCESS EXCLUSIVE": 0.1}, size_before=900_000), False),
]


@pytest.mark.parametrize(("seen", "matters"), MATTERS)
def test_a_quick_migration_of_small_tables_shows_nothing(seen: Touched, matters: bool) -> None:
    assert (shown(results([replace(SEEN[0], tables=(seen,))])) is not None) == matters


def test_nothing_was_rehearsed() -> None:
    assert shown([]) is None
    assert lines([]) == []


def test_writes_alone_wait_for_some_locks() -> None:
    found = shown(results([replace(SEEN[0], tables=(replace(ORDERS, locks={"SHARE": 5.0}),))]))
    assert found
    assert found["rows"][0][5] == "3.5"


def test_all_of_it() -> None:
    assert lines(REHEARSAL) == [
        "20260101000000_amounts_are_big: 4.250 s; 1.4 GB of WAL, the database 3.0 GB → 3.1 GB",
        "  public.orders: ACCESS EXCLUSIVE 4.210 s; rewritten; 2 scans; rows 24,000,000 read; 1.2 GB → 1.3 GB; "
        "live 1.2 GB, 35.2 statements a second; SELECT * FROM orders WHERE id = $1",
        "  shop.users: ROW SHARE 2.000 s, SHARE 0.310 s; 2 scans; rows 24,000,000 read; 1.2 GB → 1.3 GB",
        "20260102000000_quick: 0.110 s; at most 2 kB of WAL, the database 3.1 GB; not all locks were seen",
        "  shop.users: ACCESS EXCLUSIVE 0.100 s; gone",
    ]


def test_a_server_that_does_not_say_what_it_writes() -> None:
    silent = results([replace(SEEN[0], wal=None, wal_own=False, size_before=None, size_after=None)])
    assert lines(silent)[0] == "20260101000000_amounts_are_big: 4.250 s"
    found = shown(silent)
    assert found
    assert found["lines"] == []
