# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements run alone, and which begin and end a transaction."""

from __future__ import annotations

import pglast
import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.outside_transaction import transaction

KINDS = [
    ("CREATE TABLE t ()", ""),
    ("ALTER TYPE e ADD VALUE 'x'", ""),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY v", ""),
    ("ANALYZE t", ""),
    ("CLUSTER t", ""),
    ("REINDEX TABLE t", ""),
    ("ALTER TABLE t DETACH PARTITION p", ""),
    ("SAVEPOINT a", ""),
    ("ROLLBACK TO SAVEPOINT a", ""),
    ("CREATE INDEX CONCURRENTLY ON t (a)", "alone"),
    ("DROP INDEX CONCURRENTLY i", "alone"),
    ("REINDEX INDEX CONCURRENTLY i", "alone"),
    ("REINDEX (CONCURRENTLY) TABLE t", "alone"),
    ("REINDEX DATABASE d", "alone"),
    ("VACUUM t", "alone"),
    ("CLUSTER", "alone"),
    ("ALTER SYSTEM SET a = 1", "alone"),
    ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", "alone"),
    ("CREATE DATABASE d", "alone"),
    ("DROP TABLESPACE t", "alone"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", "begin"),
    ("START TRANSACTION", "begin"),
    ("END", "commit"),
    ("ABORT", "rollback"),
]


@pytest.mark.parametrize(("sql", "expected"), KINDS)
def test_kinds(sql: str, expected: str) -> None:
    assert transaction(pglast.parse_sql(sql)[0].stmt) == expected
