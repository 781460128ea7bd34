# SPDX-License-Identifier: GPL-3.0-or-later
"""What statements mean for the engine: which run alone, what repeating them takes, what they destroy."""

from __future__ import annotations

import pglast
import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration_statements import (
    about,
    destructions,
    kind,
    tables,
)

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
    assert kind(pglast.parse_sql(sql)[0].stmt) == expected


ABOUT = [
    ("CREATE INDEX CONCURRENTLY i ON s.t (a)", ("index", '"s"."t"', "i")),
    ('CREATE INDEX CONCURRENTLY ON "T""x" (a)', ("index", '"T""x"', "")),
    ("CREATE INDEX i ON t (a)", ()),
    ("REINDEX TABLE t", ("reindex",)),
    ("DROP INDEX CONCURRENTLY i", ("drop index",)),
    ("ALTER TABLE a DETACH PARTITION b CONCURRENTLY", ("detach", 'ALTER TABLE "a" DETACH PARTITION "b" FINALIZE')),
    ("ALTER TABLE a DETACH PARTITION b", ()),
    ("CREATE DATABASE d", ("create database",)),
    ("CALL p()", ("once",)),
    ("DO 'BEGIN END'", ("once",)),
    ("VACUUM", ()),
]


@pytest.mark.parametrize(("sql", "expected"), ABOUT)
def test_about(sql: str, expected: tuple[str, ...]) -> None:
    assert about(pglast.parse_sql(sql)[0].stmt) == expected


TABLES = [
    ("ALTER TABLE s.t ADD a int", ('"s"."t"',)),
    ("CREATE INDEX i ON t (a)", ('"t"',)),
    ("TRUNCATE a, b", ('"a"', '"b"')),
    ("DROP TABLE a, s.b", ('"a"', '"s"."b"')),
    ("DROP INDEX i", ('"i"',)),
    ("DROP VIEW v", ()),
    ("SELECT 1", ()),
]


@pytest.mark.parametrize(("sql", "expected"), TABLES)
def test_tables(sql: str, expected: tuple[str, ...]) -> None:
    assert tables(pglast.parse_sql(sql)[0].stmt) == expected


DESTRUCTIONS = [
    ("DROP TABLE a, b", ['drops the table "a"', 'drops the table "b"']),
    ("DROP SCHEMA s", ['drops the schema "s"']),
    ("DROP VIEW v", []),
    ("TRUNCATE a", ['empties the table "a"']),
    ("DELETE FROM a", ['empties the table "a"']),
    ("DELETE FROM a WHERE x", []),
    ("DROP DATABASE d", ['drops the database "d"']),
    ("ALTER TABLE a DROP b, ADD c int", ['drops the column "a"."b"']),
    ("ALTER TABLE a ALTER b TYPE int8", ['rewrites the table "a" to give the column "b" the type int8']),
]


@pytest.mark.parametrize(("sql", "expected"), DESTRUCTIONS)
def test_destructions(sql: str, expected: list[str]) -> None:
    assert [found.what for found in destructions(pglast.parse_sql(sql)[0].stmt, "f:1:1")] == expected
