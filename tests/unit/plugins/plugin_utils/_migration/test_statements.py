# SPDX-License-Identifier: GPL-3.0-or-later
"""What statements mean for the engine: what repeating them takes, what they change."""

from __future__ import annotations

import time

import pglast
import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import parse
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.statements import (
    about,
    gives_up_locks,
    tables,
    trees,
)

ABOUT = [
    ("CREATE INDEX CONCURRENTLY i ON s.t (a)", ("index", '"s"."t"', "i")),
    ('CREATE INDEX CONCURRENTLY ON "T""x" (a)', ("index", '"T""x"', "")),
    ("CREATE INDEX i ON t (a)", ()),
    ("REINDEX TABLE CONCURRENTLY t", ("reindex",)),
    ("REINDEX TABLE t", ()),
    ("SET lock_timeout = 1", ("set",)),
    ("SET ROLE app", ("set",)),
    ("SELECT pg_catalog.set_config('search_path', '', false)", ("set",)),
    ("SET LOCAL lock_timeout = 1", ()),
    ("SET TRANSACTION READ ONLY", ()),
    ("SELECT 1", ()),
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


GIVING_UP = [
    ("DISCARD ALL", True),
    ("SELECT pg_advisory_unlock_all()", True),
    ("SELECT PG_Advisory_Unlock ( 72707369 )", True),
    ("SELECT pg_catalog.pg_advisory_unlock(72707369::bigint)", True),
    ("DO $$ BEGIN PERFORM pg_advisory_unlock(5273491070771285); END $$", True),
    ("SELECT pg_advisory_unlock(42)", False),
    ("SELECT pg_advisory_unlock(727073690)", False),
    ("DISCARD TEMP", False),
]


@pytest.mark.parametrize(("sql", "expected"), GIVING_UP)
def test_what_gives_up_the_locks(sql: str, expected: bool) -> None:
    assert gives_up_locks(pglast.parse_sql(sql)[0].stmt, sql) == expected


TREES = [
    ("", []),
    ("-- é\n;", []),
    ("-- é\nDROP TABLE \"é\".ü; SELECT 'ä' AS ö /* ß */; DROP INDEX ï -- é",
     [('DROP TABLE "é".ü', ('"é"."ü"',)), ("SELECT 'ä' AS ö /* ß */", ()), ("DROP INDEX ï -- é", ('"ï"',))]),
    ("DROP TABLE éa, üa; TRUNCATE \"a'é\"",
     [("DROP TABLE éa, üa", ('"éa"', '"üa"')), ("TRUNCATE \"a'é\"", ('"a\'é"',))]),
    ('DROP TABLE U&"\\00e9ü", currentéuser',
     [('DROP TABLE U&"\\00e9ü", currentéuser', ('"éü"', '"currentéuser"'))]),
    ("CREATE INDEX i ON t (currentédate)", [("CREATE INDEX i ON t (currentédate)", ('"t"',))]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), TREES)
def test_trees_have_the_true_names_and_places(sql: str, expected: list[tuple[str, tuple[str, ...]]]) -> None:
    assert [(sql[start:end], tables(tree)) for start, end, tree in trees(sql)] == expected


def test_an_error_is_about_the_text_itself() -> None:
    with pytest.raises(pglast.parser.ParseError) as caught:
        trees("SELECT 'é'; SELECT ü ä ö")
    assert caught.value.args == ('syntax error at or near "ö"', 23)


REPEATED = [
    ("", "INSERT INTO t VALUES ('éééééééééééééééééééé');\n"),
    ("", "SELECT 'éééééééééé'::text;\n"),
    ("SELECT ''", " || 'éééééééééé'::text"),
]


@pytest.mark.parametrize(("first", "more"), REPEATED)
def test_what_is_beyond_ascii_is_parsed_about_as_fast(first: str, more: str) -> None:
    def seconds(text: str) -> float:
        begun = time.perf_counter()
        parse(text.encode(), "f")
        return time.perf_counter() - begun

    text = first + more * 2000
    assert min(seconds(text) for _ in range(3)) < 10 * min(seconds(text.replace("é", "e")) for _ in range(3))
