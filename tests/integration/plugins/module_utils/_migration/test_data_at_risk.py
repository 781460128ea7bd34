# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements lose data or rewrite a table of a database that holds some."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from conftest import Postgres
from support.migrations import Bed

SCHEMA = """
    CREATE SCHEMA app;
    CREATE SCHEMA old;
    CREATE TABLE app.x (i int);
    CREATE TYPE e AS ENUM ('a');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE SEQUENCE q;
    CREATE TABLE a (i int, c text, k e, n positive, "Ü" int, v varchar(10));
    CREATE TABLE b (i int DEFAULT nextval('q'));
    CREATE VIEW w AS SELECT * FROM a;
    CREATE MATERIALIZED VIEW m AS SELECT i FROM a;
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""


@pytest.fixture(scope="module")
def bed(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Bed:
    directory: Path = tmp_path_factory.mktemp("migrations")
    bed = Bed(postgres, postgres.database(), directory, policy=Policy({**DEFAULTS, "lint": "allow"}))
    bed.write("1_t", SCHEMA)
    bed.migrate()
    return bed


def found(bed: Bed, sql: str) -> list[str]:
    bed.write("2_d", sql)
    return [each.what for _, each in bed.survey().destructive]


DESTRUCTIVE = [
    ("DROP TABLE IF EXISTS none, a", ['drops the table "a"']),
    ("DROP SCHEMA old", ['drops the schema "old"']),
    ("DROP DATABASE postgres", ['drops the database "postgres"']),
    ("DROP TYPE e CASCADE", ['drops the type "e" and what depends on it']),
    ("DROP DOMAIN positive CASCADE", ['drops the domain "positive" and what depends on it']),
    ("DROP SEQUENCE public.q CASCADE", ['drops the sequence "public"."q" and what depends on it']),
    ("DROP VIEW w CASCADE", ['drops the view "w" and what depends on it']),
    ("DROP FUNCTION f() CASCADE", ['drops the function "f" and what depends on it']),
    ("DROP EXTENSION plpgsql CASCADE", ['drops the extension "plpgsql" and what depends on it']),
    ("DROP OWNED BY postgres", ["drops what a role owns"]),
    ("DELETE FROM a WHERE true", ['empties the table "a"']),
    ("WITH g AS (DELETE FROM a RETURNING *) SELECT count(*) FROM g", ['empties the table "a"']),
    ("MERGE INTO a USING b ON a.i = b.i WHEN MATCHED THEN DELETE", ['deletes from the table "a"']),
    ("UPDATE a SET c = NULL", ['empties the column "a"."c"']),
    ('UPDATE a SET "Ü" = NULL', ['empties the column "a"."Ü"']),
    ("ALTER TABLE a ALTER c TYPE text USING NULL", ['rewrites the table "a" to give the column "c" the type text']),
    ("ALTER TABLE a ALTER i TYPE bigint", ['rewrites the table "a" to give the column "i" the type bigint']),
    ("ALTER TABLE b RENAME TO b2; DROP TABLE b2", ['drops the table "b2"']),
    ("ALTER TABLE b RENAME TO b2; DROP TABLE public.b2", ['drops the table "public"."b2"']),
    ("ALTER TABLE a RENAME c TO d; ALTER TABLE a DROP d", ['drops the column "a"."d"']),
    ("ALTER SCHEMA app RENAME TO app2; DROP SCHEMA app2 CASCADE", ['drops the schema "app2"']),
    ("ALTER SCHEMA app RENAME TO app2; TRUNCATE app2.x", ['empties the table "app2"."x"']),
    ("SET search_path = app; DROP TABLE x", ['drops the table "x"']),
    ("DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$", ['drops the table "a"']),
    ("DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'a'; END $$", ['drops the table "a"']),
]
HARMLESS = [
    "DROP TABLE IF EXISTS none CASCADE",
    "DROP DATABASE IF EXISTS none",
    "DROP VIEW IF EXISTS none CASCADE",
    "DROP TYPE IF EXISTS none CASCADE",
    "DROP FUNCTION IF EXISTS none() CASCADE",
    "DROP EXTENSION IF EXISTS none CASCADE",
    "DROP MATERIALIZED VIEW m",
    "DROP VIEW w",
    "DROP FUNCTION f()",
    "DELETE FROM a WHERE i = 1",
    "UPDATE a SET c = NULL WHERE i = 1",
    "ALTER TABLE a ADD d int; UPDATE a SET d = NULL",
    "CREATE TABLE u (id int); ALTER TABLE u RENAME TO u2; DROP TABLE u2",
    "CREATE TYPE t AS ENUM ('a'); DROP TYPE t CASCADE",
    "SET search_path = app; CREATE TABLE y (); DROP TABLE y",
    "ALTER TABLE a RENAME v TO d; ALTER TABLE a ALTER d TYPE varchar(20)",
    "DO $$ BEGIN DROP TABLE IF EXISTS none; DELETE FROM a WHERE c = 'x'; END $$",
]


@pytest.mark.parametrize(("sql", "what"), DESTRUCTIVE)
def test_what_loses_data(bed: Bed, sql: str, what: list[str]) -> None:
    assert found(bed, sql) == what


@pytest.mark.parametrize("sql", HARMLESS)
def test_what_does_not(bed: Bed, sql: str) -> None:
    assert found(bed, sql) == []
