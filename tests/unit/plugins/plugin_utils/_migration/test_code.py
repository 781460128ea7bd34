# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that code runs, with what is known only then as holes."""

from __future__ import annotations

import pglast
import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.code import statements
from pglast.stream import RawStream

EXECUTED = [
    ("EXECUTE 'DROP TABLE a'", ["DROP TABLE a"]),
    ("EXECUTE format('DROP TABLE %I.%1$I', a)", ["DROP TABLE slipway_hole.slipway_hole"]),
    ("EXECUTE format('DELETE FROM t WHERE a = %L AND b = %s %% 2', a, 'c')",
     ["DELETE FROM t WHERE a = 'slipway_hole' AND b = c % 2"]),
    ("EXECUTE 'DROP ' || CASE WHEN a THEN 'TABLE t' ELSE 'VIEW v' END", ["DROP TABLE t", "DROP VIEW v"]),
    ("q := 'DROP TABLE ' || a; EXECUTE q", ["DROP TABLE slipway_hole"]),
    ("FOR q IN SELECT 'DROP TABLE b' AS x LOOP EXECUTE x; END LOOP", ["DROP TABLE b"]),
    ("DROP TABLE a; EXECUTE todo.text", ["DROP TABLE a", None]),
    ("EXECUTE 'CREATE TABLE t (' || columns", []),
    ("EXECUTE kind || ' TABLE t ('", [None]),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), EXECUTED)
def test_what_is_put_together(code: str, expected: list[str | None]) -> None:
    do = pglast.parse_sql(f"DO $$ DECLARE q text; BEGIN {code}; END $$")[0].stmt
    found = [each and RawStream()(each) for each in statements(do)]
    assert [each for each in found if each is None or each.startswith(("DROP", "DELETE"))] == expected
