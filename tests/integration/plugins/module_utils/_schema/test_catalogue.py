# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue as text: a change of any kind of object shows, and nothing that is no change of the schema does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._drift.exclusions import without_environment
from ansible_collections.slipway.deploy.plugins.module_utils._schema import catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor
from support.schema_changes import CHANGES, OF_THE_ENVIRONMENT, SCHEMA, SINCE_18

# Two ways to one schema, beside the one above.
TWINS = [
    ("CREATE TABLE b (x text); CREATE TABLE c (y int)", "CREATE TABLE c (y int); CREATE TABLE b (x text)"),
    ("CREATE TABLE a (x text, y int, z int)",
     "CREATE TABLE a (gone int, z int, x text); ALTER TABLE a DROP gone, ADD y int"),
    ("CREATE SEQUENCE one OWNED BY a.y", "CREATE SEQUENCE one OWNED BY a.y"),
    ("ALTER TABLE a SET (fillfactor = 70); ALTER TABLE a SET (autovacuum_enabled = off)",
     "ALTER TABLE a SET (autovacuum_enabled = off); ALTER TABLE a SET (fillfactor = 70)"),
    ("CREATE INDEX i ON a (x) WITH (fillfactor = 70, deduplicate_items = off) WHERE x <> ' WITH (y)'",
     "CREATE INDEX i ON a (x) WITH (deduplicate_items = off, fillfactor = 70) WHERE x <> ' WITH (y)'"),
    ("CREATE STATISTICS s ON x, y, z FROM a", "CREATE STATISTICS s ON z, y, x FROM a"),
    ("CREATE PUBLICATION p FOR TABLE a (y, z); ALTER PUBLICATION p ADD TABLE b",
     "CREATE PUBLICATION p FOR TABLE b; ALTER PUBLICATION p ADD TABLE a (z, y)"),
    ("CREATE POLICY q ON a TO pg_monitor, pg_read_all_data", "CREATE POLICY q ON a TO pg_read_all_data, pg_monitor"),
    ("GRANT SELECT, DELETE ON a TO pg_monitor; GRANT INSERT ON a TO PUBLIC",
     "GRANT INSERT ON a TO PUBLIC; GRANT DELETE ON a TO pg_monitor; GRANT SELECT ON a TO pg_monitor"),
    ("CREATE TABLE heir () INHERITS (b, c)", "CREATE TABLE heir () INHERITS (c, b)"),
    ("CREATE TYPE state AS (a int); CREATE FUNCTION f(state, int) RETURNS state LANGUAGE sql AS 'SELECT $1'; "
     "CREATE AGGREGATE g (int) (SFUNC = f, STYPE = state)",
     "CREATE TYPE state AS (a int); CREATE FUNCTION f(state, int) RETURNS state LANGUAGE sql AS 'SELECT $1'; "
     "CREATE AGGREGATE g (int) (SFUNC = f, STYPE = state)"),
    ("CREATE SCHEMA w; CREATE SEQUENCE w.n; CREATE DOMAIN w.d AS int DEFAULT nextval('w.n')",
     "CREATE SCHEMA w; CREATE SEQUENCE w.n; SET search_path = w; "
     "CREATE DOMAIN d AS int DEFAULT nextval('n'); RESET search_path"),
    ("CREATE TABLE key (a int PRIMARY KEY) PARTITION BY LIST (a); "
     "CREATE TABLE key_1 PARTITION OF key FOR VALUES IN (1); CREATE TABLE key_2 PARTITION OF key FOR VALUES IN (2); "
     "CREATE TABLE lock (a int REFERENCES key)",
     "CREATE TABLE key (a int PRIMARY KEY) PARTITION BY LIST (a); CREATE TABLE lock (a int REFERENCES key); "
     "CREATE TABLE key_2 PARTITION OF key FOR VALUES IN (2); CREATE TABLE key_1 PARTITION OF key FOR VALUES IN (1)"),
    ("CREATE TABLE renamed (a int NOT NULL)",
     "CREATE TABLE other (a int NOT NULL); ALTER TABLE other RENAME TO renamed"),
    ("CREATE OPERATOR FAMILY o USING btree; ALTER OPERATOR FAMILY o USING btree "
     "ADD OPERATOR 1 <(int, int), OPERATOR 3 =(int, int), FUNCTION 1 (int, int) btint4cmp(int, int)",
     "CREATE OPERATOR FAMILY o USING btree; ALTER OPERATOR FAMILY o USING btree "
     "ADD FUNCTION 1 (int, int) btint4cmp(int, int), OPERATOR 3 =(int, int), OPERATOR 1 <(int, int)"),
    ("CREATE EVENT TRIGGER e ON sql_drop WHEN TAG IN ('DROP VIEW', 'DROP FUNCTION') EXECUTE FUNCTION told()",
     "CREATE EVENT TRIGGER e ON sql_drop WHEN TAG IN ('DROP FUNCTION', 'DROP VIEW') EXECUTE FUNCTION told()"),
    ("CREATE TEXT SEARCH CONFIGURATION v (PARSER = \"default\"); "
     "ALTER TEXT SEARCH CONFIGURATION v ADD MAPPING FOR word, email WITH simple",
     "CREATE TEXT SEARCH CONFIGURATION v (PARSER = \"default\"); "
     "ALTER TEXT SEARCH CONFIGURATION v ADD MAPPING FOR email WITH simple; "
     "ALTER TEXT SEARCH CONFIGURATION v ADD MAPPING FOR word WITH simple"),
    ("SELECT 1",
     "GRANT EXECUTE ON FUNCTION pg_sleep TO pg_monitor; REVOKE EXECUTE ON FUNCTION pg_sleep FROM pg_monitor"),
]  # fmt: skip
# What takes the schema above away again.
UNDONE = """
DROP EVENT TRIGGER told; DROP PUBLICATION chosen; DROP FOREIGN DATA WRAPPER wrapper CASCADE; DROP ACCESS METHOD tree;
DROP LANGUAGE tongue; DROP SCHEMA public, aside CASCADE;
CREATE SCHEMA public; COMMENT ON SCHEMA public IS 'standard public schema';
ALTER SCHEMA public OWNER TO pg_database_owner; GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
# Settings of a session that show in what PostgreSQL prints.
SETTINGS = [
    "TimeZone = 'Asia/Tokyo'", "DateStyle = German", "IntervalStyle = sql_standard", "bytea_output = escape",
    "extra_float_digits = 0", "quote_all_identifiers = on", "standard_conforming_strings = off", "search_path = public",
]  # fmt: skip


@pytest.fixture(scope="module")
def cursor(postgres: Postgres) -> Iterator[Cursor]:
    database = postgres.database()
    with contextlib.closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        cursor.execute("SET allow_in_place_tablespaces = on")
        cursor.execute("CREATE TABLESPACE away LOCATION ''")
        yield cursor
        cursor.execute("DROP TABLESPACE away")


@pytest.fixture(scope="module")
def before(cursor: Cursor) -> Catalogue:
    return catalogue.read(cursor)


def whole(postgres: Postgres, database: str) -> Catalogue:
    with contextlib.closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
        return catalogue.read(cursor)


def found_after(change: str, before: Catalogue, cursor: Cursor) -> list[str]:
    """What differs from the catalogue before a change that is undone at once."""
    cursor.execute("BEGIN")
    try:
        cursor.execute(change)
        found = catalogue.read_within(cursor)
        return sorted(name for name in {**before, **found} if before.get(name) != found.get(name))
    finally:
        cursor.execute("ROLLBACK")


@pytest.mark.parametrize(("change", "shown"), CHANGES)
def test_a_manual_change_is_found(change: str, shown: str, before: Catalogue, cursor: Cursor) -> None:
    assert shown in found_after(change, before, cursor)
    assert shown in without_environment({shown: "postgres"}, "postgres")


@pytest.mark.parametrize(("change", "shown"), OF_THE_ENVIRONMENT)
def test_a_change_of_the_environment_is_found_by_a_snapshot_alone(
    change: str, shown: str, before: Catalogue, cursor: Cursor
) -> None:
    assert shown in found_after(change.format(cursor.connection.info.dbname), before, cursor)
    assert shown not in without_environment({shown: ""}, "postgres")


@pytest.mark.parametrize(("change", "shown"), SINCE_18)
def test_a_manual_change_that_18_allows_is_found(change: str, shown: str, before: Catalogue, cursor: Cursor) -> None:
    knows_it = cursor.connection.server_version >= 180000
    with contextlib.nullcontext() if knows_it else pytest.raises(psycopg2.Error):
        assert shown in found_after(change, before, cursor)


def test_equal_databases_have_equal_catalogues(postgres: Postgres) -> None:
    one, other = postgres.database(), postgres.database()
    postgres.execute(SCHEMA + ";".join(first for first, _ in TWINS), one)
    postgres.execute(SCHEMA + UNDONE + SCHEMA + ";".join(second for _, second in TWINS), other)
    assert whole(postgres, one) == whole(postgres, other)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_of_the_session_does_not_show(setting: str, before: Catalogue, cursor: Cursor) -> None:
    assert found_after(f"SET LOCAL {setting}", before, cursor) == []


def test_what_the_server_notes_at_a_column_does_not_show(before: Catalogue, cursor: Cursor) -> None:
    note = (
        "UPDATE pg_attribute SET attoptions = '{pg_attver=1}' WHERE attrelid = 'users'::regclass AND attname = 'name'"
    )
    assert found_after(note, before, cursor) == []


def names(cursor: Cursor, version: int) -> list[str]:
    cursor.execute("BEGIN; SET LOCAL search_path = ''")
    cursor.execute(catalogue.statement(version))
    found = [f"{kind} {name}" for kind, name, _ in cursor.fetchall()]
    cursor.execute("ROLLBACK")
    return sorted(found)


def test_every_object_has_a_name_of_its_own(before: Catalogue, cursor: Cursor) -> None:
    assert names(cursor, cursor.connection.server_version) == sorted(before)


def test_the_query_for_an_old_server_gives_the_same_names(before: Catalogue, cursor: Cursor) -> None:
    assert names(cursor, 120000) == sorted(before)


def test_the_members_of_an_extension_are_left_out(before: Catalogue, cursor: Cursor) -> None:
    expected = ["extension vector", "owner of extension vector", "version of extension vector"]
    assert found_after("CREATE EXTENSION vector", before, cursor) == expected


def test_passwords_are_left_out(before: Catalogue) -> None:
    assert before["server far"] == "WRAPPER wrapper OPTIONS host=a, password=***"
    assert "hidden" not in str(before)
