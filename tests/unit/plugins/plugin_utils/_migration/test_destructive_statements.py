# SPDX-License-Identifier: GPL-3.0-or-later
"""What the statements of a file destroy, and what of it the database is to be asked about."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.destructive_statements import Destructions
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.statements import trees


def found(sql: str) -> list[Destruction]:
    destructions = Destructions()
    return [each for start, end, tree in trees(sql) for each in destructions.of(tree, sql[start:end], "f:1:1")]


WORDS = [
    ("DROP TABLE a, b", ['drops the table "a"', 'drops the table "b"']),
    ("DROP SCHEMA s", ['drops the schema "s"']),
    ("DROP VIEW v", []),
    ("DROP MATERIALIZED VIEW v", []),
    ("DROP TYPE e", []),
    ("DROP TYPE e CASCADE", ['drops the type "e" and what depends on it']),
    ("DROP DOMAIN s.e CASCADE", ['drops the domain "s"."e" and what depends on it']),
    ("DROP SEQUENCE q CASCADE", ['drops the sequence "q" and what depends on it']),
    ("DROP VIEW v CASCADE", ['drops the view "v" and what depends on it']),
    ("DROP FUNCTION f(int) CASCADE", ['drops the function "f" and what depends on it']),
    ("DROP EXTENSION x CASCADE", ['drops the extension "x" and what depends on it']),
    ("DROP SERVER x CASCADE", ['drops the server "x" and what depends on it']),
    ("DROP OPERATOR CLASS o USING btree CASCADE", ['drops the operator class "btree"."o" and what depends on it']),
    ("DROP TRIGGER g ON a CASCADE", []),
    ("DROP INDEX i CASCADE", []),
    ("DROP CAST (int AS text) CASCADE", []),
    ("DROP OWNED BY r", ["drops what a role owns"]),
    ("DROP DATABASE d", ['drops the database "d"']),
    ("TRUNCATE a", ['empties the table "a"']),
    ("DELETE FROM a", ['empties the table "a"']),
    ("DELETE FROM a WHERE x", []),
    ("DELETE FROM a WHERE true", ['empties the table "a"']),
    ("DELETE FROM a WHERE 1 = 1", ['empties the table "a"']),
    ("DELETE FROM a WHERE CURRENT OF c", []),
    ("WITH g AS (DELETE FROM a RETURNING *) SELECT * FROM g", ['empties the table "a"']),
    ("INSERT INTO b WITH g AS (DELETE FROM a RETURNING *) SELECT * FROM g", ['empties the table "a"']),
    ("EXPLAIN ANALYZE DELETE FROM a", ['empties the table "a"']),
    ("WITH g AS (DELETE FROM a WHERE x RETURNING *) SELECT * FROM g", []),
    ("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DELETE", ['deletes from the table "a"']),
    ("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN UPDATE SET c = 1", []),
    ("UPDATE a SET b = 1, c = NULL", ['empties the column "a"."c"']),
    ("UPDATE a SET c = NULL::text", ['empties the column "a"."c"']),
    ("UPDATE a SET (b, c) = (1, NULL)", ['empties the column "a"."c"']),
    ("UPDATE a SET c = NULL WHERE b = 1", []),
    ("ALTER TABLE a DROP b, ADD c int", ['drops the column "a"."b"']),
    ("ALTER TABLE a ALTER b TYPE int8", ['rewrites the table "a" to give the column "b" the type int8']),
]


@pytest.mark.parametrize(("sql", "expected"), WORDS)
def test_the_words(sql: str, expected: list[str]) -> None:
    assert [each.what for each in found(sql)] == expected


# What the database is asked about: type of object, name, column, type. All empty: it is taken to exist.
TAKEN = ("", "", "", "")
A, B = ("table", '"a"', "", ""), ("table", '"b"', "", "")
ASKED = [
    ("DROP TABLE s.a", [("table", '"s"."a"', "", "")]),
    ("DROP VIEW v CASCADE", [("table", '"v"', "", "")]),
    ("DROP ROUTINE s.f CASCADE", [("function", '"s"."f"', "", "")]),
    ("ALTER TABLE a ALTER c TYPE text", [("column", '"a"', "c", "text")]),
    ("ALTER TABLE a ALTER c TYPE text USING NULL", [("column", '"a"', "c", "")]),
    # Renamed
    ("ALTER TABLE a RENAME TO b; DROP TABLE b", [A]),
    ("ALTER TABLE a RENAME TO b; DROP TABLE public.b", [TAKEN]),
    ("ALTER TABLE a RENAME TO x; ALTER TABLE b RENAME TO a; ALTER TABLE x RENAME TO b; DROP TABLE a", [B]),
    ("ALTER TABLE a RENAME c TO d; ALTER TABLE a DROP d", [("column", '"a"', "c", "")]),
    ("ALTER TABLE a RENAME TO b; ALTER TABLE b DROP c", [("column", '"a"', "c", "")]),
    ("ALTER TABLE a RENAME c TO d; ALTER TABLE a RENAME TO b; ALTER TABLE b DROP d", [("column", '"a"', "c", "")]),
    ("ALTER TABLE a RENAME c TO d; ALTER TABLE public.a DROP d", [TAKEN]),
    ("ALTER TABLE a RENAME c TO d; ALTER TABLE b DROP d", [("column", '"b"', "d", "")]),
    ("ALTER TABLE s.a RENAME TO b; ALTER SCHEMA s RENAME TO r; DROP TABLE r.b", [TAKEN]),
    ("ALTER SCHEMA s RENAME TO r; DROP SCHEMA r CASCADE", [("schema", '"s"', "", "")]),
    ("ALTER SCHEMA s RENAME TO r; TRUNCATE r.a", [("table", '"s"."a"', "", "")]),
    ("ALTER TABLE a SET SCHEMA s; DROP TABLE s.a", [A]),
    ("ALTER TYPE e RENAME TO f; DROP TYPE f CASCADE", [("type", '"e"', "", "")]),
    ("ALTER TABLE a RENAME CONSTRAINT c TO d; ALTER TABLE a DROP d", [("column", '"a"', "d", "")]),
    # Found on another path
    ("SET search_path = s; DROP TABLE a", [TAKEN]),
    ("SET LOCAL search_path = s; TRUNCATE a, s.b", [TAKEN, ("table", '"s"."b"', "", "")]),
    ("SELECT set_config('search_path', 's', false); ALTER TABLE a DROP c", [TAKEN]),
    ("RESET ALL; DELETE FROM a", [TAKEN]),
    ("CREATE TABLE a (); SET search_path = s; DROP TABLE a", [TAKEN]),
    ("SET lock_timeout = 0; DROP TABLE a", [A]),
    # Made by the file
    ("CREATE TABLE a (); DROP TABLE a", []),
    ("CREATE TEMP TABLE a (); DROP TABLE a; DROP TABLE a", [A]),
    ("CREATE TABLE a AS SELECT 1; TRUNCATE a", []),
    ("SELECT 1 INTO a; DELETE FROM a", []),
    ("CREATE TABLE IF NOT EXISTS a (); DROP TABLE a", [A]),
    ("CREATE TABLE a (); ALTER TABLE a RENAME TO b; DROP TABLE b", []),
    ("ALTER TABLE a RENAME TO b; CREATE TABLE a (c int); ALTER TABLE a DROP c; DROP TABLE b", [A]),
    ("ALTER TABLE a ADD c int; ALTER TABLE a RENAME TO b; ALTER TABLE b DROP c", [("column", '"a"', "c", "")]),
    ("ALTER TABLE a ADD c int; UPDATE a SET c = NULL; ALTER TABLE a DROP c", []),
    ("ALTER TABLE a ADD IF NOT EXISTS c int; ALTER TABLE a DROP c", [("column", '"a"', "c", "")]),
    ("CREATE SCHEMA s; CREATE TABLE s.a (); DROP SCHEMA s CASCADE", []),
    ("CREATE TYPE e AS ENUM ('a'); DROP TYPE e CASCADE", []),
    ("SET search_path = s; CREATE DOMAIN e AS int; DROP DOMAIN e CASCADE", []),
    ("SET search_path = s; CREATE SEQUENCE q; DROP SEQUENCE q CASCADE", []),
    ("BEGIN; CREATE TABLE a (); ROLLBACK; DROP TABLE a", [A]),
    # In code
    ("DO $$ BEGIN DROP TABLE a; END $$", [A]),
    ("DO $$ BEGIN EXECUTE 'DROP TABLE a'; EXECUTE 'SELECT 1'; END $$", [A]),
    ("DO 'BEGIN EXECUTE ''TRUNCATE a''; END'", [A]),
    ("DO $$ BEGIN ALTER TABLE a RENAME TO b; DROP TABLE b; END $$", [A]),
    ("DO $$ BEGIN EXECUTE 'SET search_path = s'; END $$; DROP TABLE a", [TAKEN]),
    ("DO $$ BEGIN EXECUTE format('DROP TABLE %I', 'a'); END $$", [A]),
    ("DO $$ BEGIN EXECUTE format('DROP TABLE %I', x); END $$", [TAKEN]),
    ("DO $$ DECLARE q text := 'TRUNCATE a'; BEGIN EXECUTE q; END $$", [A]),
    ("DO $$ BEGIN RAISE NOTICE 'drop table a; truncate a'; END $$", []),
    ("DO $$ BEGIN EXECUTE 'ALTER TABLE ' || x || ' DROP COLUMN c'; END $$", [TAKEN]),
    ("DO $$ BEGIN EXECUTE format('ALTER TABLE %I DROP COLUMN c', 'a'); END $$", [("column", '"a"', "c", "")]),
    ("DO $$ BEGIN EXECUTE format('DROP TYPE %I CASCADE', 'e'); END $$", [("type", '"e"', "", "")]),
    ("DO $$ BEGIN EXECUTE 'DELETE FROM ' || x; END $$", [TAKEN]),
    ("DO $$ BEGIN DELETE FROM a WHERE c = 'x'; END $$", []),
    ("DO $$ BEGIN UPDATE a SET c = 'x'; DROP TRIGGER IF EXISTS g ON a; END $$", []),
    ("DO $$ BEGIN ALTER TABLE a ADD FOREIGN KEY (c) REFERENCES b ON DELETE CASCADE; END $$", []),
    ("DO $$ BEGIN ALTER TYPE e ADD VALUE 'x'; EXECUTE format('ALTER TABLE %I DROP CONSTRAINT c', 'a'); END $$", []),
    ("DO $$ BEGIN -- drop table a\nNULL; END $$", []),
    ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DELETE FROM a; SELECT 1'", []),
]


@pytest.mark.parametrize(("sql", "expected"), ASKED)
def test_what_the_database_is_asked_about(sql: str, expected: list[tuple[str, str, str, str]]) -> None:
    assert [(each.object_type, each.name, each.column, each.type) for each in found(sql)] == expected


def test_what_is_known_only_when_it_runs_is_left_out() -> None:
    (only,) = found("DO $$ BEGIN EXECUTE format('ALTER TABLE %I\n  DROP COLUMN c', x); END $$")
    assert only.what == 'drops the column …."c"'
