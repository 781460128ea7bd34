# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: each kind of manual change is found, by replay and by snapshot, and a clean history shows none."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import (
    Comparison,
    by_replay,
    by_snapshot,
    compare,
    record,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._schema import catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor
from support.migration_faults import COUNTER, history
from support.migrations import Bed

HISTORIES = int(os.environ.get("SLIPWAY_HISTORIES", "20"))
COPIES = itertools.count()

SCHEMA = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a text, b int);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE SEQUENCE numbers;
CREATE TABLE teams (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE users (
    id serial PRIMARY KEY, team bigint REFERENCES teams ON DELETE CASCADE, name text DEFAULT 'x', mood mood,
    size positive, twice int GENERATED ALWAYS AS (length(name) * 2) STORED, CONSTRAINT short CHECK (length(name) < 100)
);
CREATE INDEX users_name ON users (name);
CREATE INDEX users_lower ON users (lower(name)) WHERE size > 3;
CREATE TABLE days (day timestamptz, n int) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE child () INHERITS (teams);
CREATE VIEW names AS SELECT name FROM users;
CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM users;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION as_text(mood) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
CREATE FUNCTION below(mood, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION added(pair, int) RETURNS pair LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE total (int) (SFUNC = added, STYPE = pair);
CREATE TRIGGER touched BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE noted AS ON DELETE TO users DO ALSO NOTHING;
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON teams TO pg_monitor USING (id > 0);
CREATE STATISTICS both_ ON name, mood FROM users;
CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER told ON sql_drop WHEN TAG IN ('DROP VIEW', 'DROP FUNCTION') EXECUTE FUNCTION told();
CREATE PUBLICATION chosen FOR TABLE users (id, name) WHERE (id > 0);
CREATE CAST (mood AS text) WITH FUNCTION as_text(mood);
CREATE OPERATOR <<< (FUNCTION = below, LEFTARG = mood, RIGHTARG = int);
CREATE OPERATOR FAMILY kin USING btree;
CREATE OPERATOR CLASS texts FOR TYPE text USING hash AS OPERATOR 1 =, FUNCTION 1 hashtext(text);
CREATE FOREIGN DATA WRAPPER wrapper OPTIONS (debug 'off');
CREATE SERVER far FOREIGN DATA WRAPPER wrapper OPTIONS (host 'a', password 'hidden');
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'hidden');
CREATE FOREIGN TABLE abroad (id int OPTIONS (name 'a')) SERVER far OPTIONS (path 'a');
CREATE TEXT SEARCH PARSER words
    (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE plain (LEXIZE = dsimple_lexize, INIT = dsimple_init);
CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple, accept = true);
CREATE TEXT SEARCH CONFIGURATION search (PARSER = "default");
ALTER TEXT SEARCH CONFIGURATION search ADD MAPPING FOR word WITH dict;
CREATE TRUSTED LANGUAGE tongue HANDLER plpgsql_call_handler;
CREATE TRANSFORM FOR mood LANGUAGE plpgsql (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD tree TYPE INDEX HANDLER bthandler;
CREATE COLLATION plainly FROM "C";
COMMENT ON TABLE users IS 'people';
COMMENT ON CONSTRAINT short ON users IS 'not long';
COMMENT ON FUNCTION touch() IS 'does nothing';
CREATE TABLE constants (
    a timestamptz DEFAULT '2025-01-01 00:00+0', b interval DEFAULT '-1 day 2 hours', c bytea DEFAULT '\\x01',
    d float8 DEFAULT float8 '0.30000000000000004', e text DEFAULT 'a\\b'
);
CREATE SCHEMA aside;
CREATE TABLE aside.empty (id int);
GRANT SELECT (name) ON users TO pg_monitor;
"""
# A change by hand, and the object that it shows at.
CHANGES = [
    ("CREATE TABLE extra (id int)", "table public.extra"),
    ("DROP TABLE teams CASCADE", "table public.teams"),
    ("ALTER TABLE users SET (fillfactor = 70)", "table public.users"),
    ("ALTER TABLE users SET (toast.autovacuum_enabled = off)", "table public.users"),
    ("ALTER TABLE aside.empty SET UNLOGGED", "table aside.empty"),
    ("ALTER TABLE users REPLICA IDENTITY FULL", "table public.users"),
    ("ALTER TABLE users REPLICA IDENTITY USING INDEX users_pkey", "index public.users_pkey"),
    ("ALTER TABLE teams DISABLE ROW LEVEL SECURITY", "table public.teams"),
    ("ALTER TABLE teams FORCE ROW LEVEL SECURITY", "table public.teams"),
    ("ALTER TABLE child NO INHERIT teams", "table public.child"),
    ("CREATE TYPE row AS (id int); ALTER TABLE aside.empty OF row", "table aside.empty"),
    ("ALTER TABLE days DETACH PARTITION days_1; "
     "ALTER TABLE days ATTACH PARTITION days_1 FOR VALUES FROM ('2025-01-01') TO ('2025-03-01')",
     "table public.days_1"),
    ("ALTER TABLE days DETACH PARTITION days_1", "table public.days_1"),
    ("CREATE TABLE days_2 PARTITION OF days DEFAULT", "table public.days_2"),
    ("ALTER TABLE abroad OPTIONS (SET path 'b')", "table public.abroad"),
    ("ALTER TABLE users ADD COLUMN extra int", "column public.users.extra"),
    ("ALTER TABLE users ALTER mood TYPE text USING ''", "column public.users.mood"),
    ("ALTER TABLE teams ALTER name TYPE text COLLATE \"C\"", "column public.teams.name"),
    ("ALTER TABLE users ALTER name SET NOT NULL", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET DEFAULT 'y'", "column public.users.name"),
    ("ALTER TABLE users ALTER twice DROP EXPRESSION", "column public.users.twice"),
    ("ALTER TABLE teams ALTER id SET GENERATED BY DEFAULT", "column public.teams.id"),
    ("ALTER TABLE users ALTER name SET STATISTICS 500", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET STORAGE EXTERNAL", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET COMPRESSION pglz", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET (n_distinct = 5)", "column public.users.name"),
    ("ALTER TABLE abroad ALTER id OPTIONS (SET name 'b')", "column public.abroad.id"),
    ("ALTER VIEW names ALTER name SET DEFAULT 'y'", "column public.names.name"),
    ("ALTER INDEX users_lower ALTER COLUMN 1 SET STATISTICS 500", "column public.users_lower.lower"),
    ("ALTER TABLE users DROP CONSTRAINT short", "constraint public.users.short"),
    ("ALTER TABLE users ADD CONSTRAINT more CHECK (id > 0) NOT VALID", "constraint public.users.more"),
    ("ALTER TABLE users ALTER CONSTRAINT users_team_fkey DEFERRABLE", "constraint public.users.users_team_fkey"),
    ("ALTER TABLE users DISABLE TRIGGER ALL", "constraint public.users.users_team_fkey"),
    ("CREATE INDEX extra ON users (mood)", "index public.extra"),
    ("DROP INDEX users_lower; CREATE INDEX users_lower ON users (lower(name)) WHERE size > 4",
     "index public.users_lower"),
    ("DROP INDEX users_lower; CREATE INDEX users_lower ON users (upper(name)) WHERE size > 3",
     "index public.users_lower"),
    ("DROP INDEX users_name; CREATE INDEX users_name ON users (name COLLATE \"C\")", "index public.users_name"),
    ("DROP INDEX users_name; CREATE INDEX users_name ON users (name text_pattern_ops)", "index public.users_name"),
    ("ALTER INDEX users_name SET (fillfactor = 70)", "index public.users_name"),
    ("ALTER TABLE users CLUSTER ON users_name", "index public.users_name"),
    ("CREATE INDEX ON days (n); DROP INDEX days_n_idx; CREATE INDEX days_1_n_idx ON days_1 (n)",
     "index public.days_1_n_idx"),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name'::regclass", "index public.users_name"),
    ("CREATE OR REPLACE VIEW names AS SELECT name FROM users WHERE id > 1", "view public.names"),
    ("ALTER VIEW names SET (security_barrier)", "view public.names"),
    ("ALTER VIEW names SET (check_option = local)", "view public.names"),
    ("DROP MATERIALIZED VIEW counts", "view public.counts"),
    ("ALTER MATERIALIZED VIEW counts SET (fillfactor = 70)", "view public.counts"),
    ("ALTER SEQUENCE numbers INCREMENT 5", "sequence public.numbers"),
    ("ALTER SEQUENCE numbers OWNED BY users.id", "sequence public.numbers"),
    ("ALTER SEQUENCE numbers SET UNLOGGED", "sequence public.numbers"),
    ("CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
     "function public.touch()"),
    ("ALTER FUNCTION touch() SECURITY DEFINER", "function public.touch()"),
    ("ALTER FUNCTION touch() STABLE", "function public.touch()"),
    ("ALTER FUNCTION touch() SET work_mem = '1MB'", "function public.touch()"),
    ("CREATE PROCEDURE act() LANGUAGE sql AS ''", "function public.act()"),
    ("CREATE OR REPLACE AGGREGATE total (int) (SFUNC = added, STYPE = pair, INITCOND = '(,)')",
     "function public.total(integer)"),
    ("ALTER TABLE users DISABLE TRIGGER touched", "trigger public.users.touched"),
    ("DROP TRIGGER touched ON users", "trigger public.users.touched"),
    ("CREATE RULE nothing AS ON DELETE TO users DO INSTEAD NOTHING", "rule public.users.nothing"),
    ("ALTER TABLE users DISABLE RULE noted", "rule public.users.noted"),
    ("ALTER POLICY mine ON teams USING (true)", "policy public.teams.mine"),
    ("ALTER POLICY mine ON teams WITH CHECK (true)", "policy public.teams.mine"),
    ("ALTER POLICY mine ON teams TO PUBLIC", "policy public.teams.mine"),
    ("DROP POLICY mine ON teams; CREATE POLICY mine ON teams AS RESTRICTIVE TO pg_monitor USING (id > 0)",
     "policy public.teams.mine"),
    ("ALTER TYPE mood ADD VALUE 'fair'", "type public.mood"),
    ("ALTER TYPE mood ADD VALUE 'fair' BEFORE 'good'", "type public.mood"),
    ("ALTER TYPE pair ADD ATTRIBUTE c int", "type public.pair"),
    ("ALTER TYPE pair ALTER ATTRIBUTE a TYPE text COLLATE \"C\"", "type public.pair"),
    ("DROP TYPE span; CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi)", "type public.span"),
    ("DROP TYPE span; CREATE TYPE span AS RANGE (subtype = float8, multirange_type_name = spans)", "type public.span"),
    ("CREATE TYPE extra", "type public.extra"),
    ("CREATE TYPE extra AS ENUM ()", "type public.extra"),
    ("ALTER DOMAIN positive SET NOT NULL", "type public.positive"),
    ("ALTER DOMAIN positive SET DEFAULT 1", "type public.positive"),
    ("ALTER DOMAIN positive DROP CONSTRAINT above", "type public.positive"),
    ("ALTER DOMAIN positive ADD CONSTRAINT below CHECK (VALUE < 9) NOT VALID", "type public.positive"),
    ("CREATE DOMAIN extra AS text COLLATE \"C\"", "type public.extra"),
    ("CREATE EXTENSION vector", "extension vector"),
    ("CREATE SCHEMA other; CREATE TABLE other.t ()", "table other.t"),
    ("CREATE SCHEMA other", "schema other"),
    ("ALTER SCHEMA aside OWNER TO pg_monitor", "owner of schema aside"),
    ("GRANT ALL ON SCHEMA aside TO pg_monitor", "rights on schema aside for pg_monitor"),
    ("CREATE SCHEMA schema_; CREATE TABLE schema_.t ()", "owner of schema_.t"),
    ("ALTER STATISTICS both_ SET STATISTICS 500", "statistics object public.both_"),
    ("DROP STATISTICS both_; CREATE STATISTICS both_ (mcv) ON name, mood FROM users", "statistics object public.both_"),
    ("DROP STATISTICS both_; CREATE STATISTICS both_ ON name, lower(name) FROM users",
     "statistics object public.both_"),
    ("ALTER EVENT TRIGGER told DISABLE", "event trigger told"),
    ("DROP EVENT TRIGGER told; CREATE EVENT TRIGGER told ON sql_drop EXECUTE FUNCTION told()", "event trigger told"),
    ("ALTER PUBLICATION chosen SET (publish = 'insert')", "publication chosen"),
    ("ALTER PUBLICATION chosen SET TABLE users (id) WHERE (id > 0)", "publication chosen"),
    ("ALTER PUBLICATION chosen SET TABLE users (id, name) WHERE (id > 1)", "publication chosen"),
    ("ALTER PUBLICATION chosen SET TABLES IN SCHEMA aside", "publication chosen"),
    ("CREATE PUBLICATION extra FOR ALL TABLES", "publication extra"),
    ("DROP CAST (mood AS text); CREATE CAST (mood AS text) WITH FUNCTION as_text(mood) AS ASSIGNMENT",
     "cast (public.mood AS pg_catalog.text)"),
    ("ALTER OPERATOR <<< (mood, int) SET (RESTRICT = scalarltsel)", "operator public.<<<(public.mood,integer)"),
    ("ALTER OPERATOR FAMILY kin USING btree ADD OPERATOR 1 <(int, int)", "operator family public.kin USING btree"),
    ("ALTER OPERATOR FAMILY kin USING btree ADD FUNCTION 1 (int, int) btint4cmp(int, int)",
     "operator family public.kin USING btree"),
    ("DROP OPERATOR CLASS texts USING hash", "operator class public.texts USING hash"),
    ("ALTER FOREIGN DATA WRAPPER wrapper OPTIONS (SET debug 'on')", "foreign-data wrapper wrapper"),
    ("ALTER SERVER far OPTIONS (SET host 'b')", "server far"),
    ("ALTER SERVER far VERSION '2'", "server far"),
    ("DROP USER MAPPING FOR PUBLIC SERVER far", "user mapping for public on far"),
    ("DROP TEXT SEARCH PARSER words; CREATE TEXT SEARCH PARSER words (START = prsd_start, GETTOKEN = prsd_nexttoken, "
     "END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline)", "text search parser public.words"),
    ("DROP TEXT SEARCH TEMPLATE plain", "text search template public.plain"),
    ("ALTER TEXT SEARCH DICTIONARY dict (accept = false)", "text search dictionary public.dict"),
    ("ALTER TEXT SEARCH CONFIGURATION search ADD MAPPING FOR email WITH dict",
     "text search configuration public.search"),
    ("ALTER TEXT SEARCH CONFIGURATION search ALTER MAPPING FOR word WITH simple",
     "text search configuration public.search"),
    ("CREATE OR REPLACE LANGUAGE tongue HANDLER plpgsql_call_handler", "language tongue"),
    ("DROP TRANSFORM FOR mood LANGUAGE plpgsql", "transform for public.mood language plpgsql"),
    ("DROP CONVERSION latin; CREATE DEFAULT CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
     "conversion public.latin"),
    ("DROP ACCESS METHOD tree; CREATE ACCESS METHOD tree TYPE INDEX HANDLER hashhandler", "access method tree"),
    ("DROP COLLATION plainly; CREATE COLLATION plainly FROM \"POSIX\"", "collation public.plainly"),
    ("COMMENT ON TABLE users IS 'others'", "comment table public.users"),
    ("COMMENT ON COLUMN users.name IS 'by hand'", "comment table column public.users.name"),
    ("COMMENT ON CONSTRAINT short ON users IS NULL", "comment table constraint short on public.users"),
    ("COMMENT ON CONSTRAINT above ON DOMAIN positive IS 'x'", "comment domain constraint above on public.positive"),
    ("COMMENT ON TRIGGER touched ON users IS 'x'", "comment trigger touched on public.users"),
    ("COMMENT ON POLICY mine ON teams IS 'x'", "comment policy mine on public.teams"),
    ("COMMENT ON RULE noted ON users IS 'x'", "comment rule noted on public.users"),
    ("COMMENT ON INDEX users_name IS 'x'", "comment index public.users_name"),
    ("COMMENT ON FUNCTION touch() IS NULL", "comment function public.touch()"),
    ("COMMENT ON TYPE mood IS 'x'", "comment type public.mood"),
    ("COMMENT ON SCHEMA public IS 'x'", "comment schema public"),
    ("COMMENT ON CAST (mood AS text) IS 'x'", "comment cast (public.mood AS pg_catalog.text)"),
    ("INSERT INTO pg_seclabel VALUES ('users'::regclass, 'pg_class'::regclass, 0, 'guard', 'x')",
     "security label guard on table public.users"),
    ("ALTER TABLE users OWNER TO pg_monitor", "owner of public.users"),
    ("ALTER VIEW names OWNER TO pg_monitor", "owner of public.names"),
    ("ALTER SEQUENCE numbers OWNER TO pg_monitor", "owner of public.numbers"),
    ("ALTER FUNCTION touch() OWNER TO pg_monitor", "owner of function public.touch()"),
    ("ALTER TYPE mood OWNER TO pg_monitor", "owner of type public.mood"),
    ("ALTER STATISTICS both_ OWNER TO pg_monitor", "owner of statistics object public.both_"),
    ("ALTER OPERATOR <<< (mood, int) OWNER TO pg_monitor", "owner of operator public.<<<(public.mood,integer)"),
    ("ALTER OPERATOR CLASS texts USING hash OWNER TO pg_monitor", "owner of operator class public.texts USING hash"),
    ("ALTER OPERATOR FAMILY kin USING btree OWNER TO pg_monitor", "owner of operator family public.kin USING btree"),
    ("ALTER TEXT SEARCH DICTIONARY dict OWNER TO pg_monitor", "owner of text search dictionary public.dict"),
    ("ALTER TEXT SEARCH CONFIGURATION search OWNER TO pg_monitor", "owner of text search configuration public.search"),
    ("ALTER LANGUAGE tongue OWNER TO pg_monitor", "owner of language tongue"),
    ("ALTER CONVERSION latin OWNER TO pg_monitor", "owner of conversion public.latin"),
    ("ALTER COLLATION plainly OWNER TO pg_monitor", "owner of collation public.plainly"),
    ("GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO pg_monitor; ALTER SERVER far OWNER TO pg_monitor",
     "owner of server far"),
    ("GRANT SELECT ON users TO PUBLIC", "rights on public.users for PUBLIC"),
    ("GRANT SELECT ON users TO pg_monitor WITH GRANT OPTION", "rights on public.users for pg_monitor"),
    ("GRANT UPDATE (name) ON users TO pg_monitor", "rights on public.users.name for pg_monitor"),
    ("REVOKE SELECT (name) ON users FROM pg_monitor", "rights on public.users.name for pg_monitor"),
    ("GRANT USAGE ON SEQUENCE numbers TO PUBLIC", "rights on public.numbers for PUBLIC"),
    ("REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC", "rights on function public.touch() for PUBLIC"),
    ("REVOKE USAGE ON TYPE mood FROM PUBLIC", "rights on type public.mood for PUBLIC"),
    ("REVOKE USAGE ON LANGUAGE tongue FROM PUBLIC", "rights on language tongue for PUBLIC"),
    ("GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO PUBLIC", "rights on foreign-data wrapper wrapper for PUBLIC"),
    ("GRANT USAGE ON FOREIGN SERVER far TO PUBLIC", "rights on server far for PUBLIC"),
    ("CREATE EXTENSION vector; REVOKE EXECUTE ON FUNCTION vector_in FROM PUBLIC",
     "rights on function public.vector_in(pg_catalog.cstring,pg_catalog.oid,integer) for postgres"),
]  # fmt: skip
# The same of what the migrations don't make, which a snapshot tells and a replay does not.
OF_THE_ENVIRONMENT = [
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "rights on schema public for PUBLIC"),
    ("ALTER DEFAULT PRIVILEGES IN SCHEMA aside GRANT SELECT ON TABLES TO PUBLIC",
     "default rights on r of postgres in aside"),
    ("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
     "default rights on f of postgres in all schemas"),
    ("ALTER DATABASE {0} SET work_mem = '1MB'", "setting work_mem for all roles"),
    ("ALTER ROLE postgres IN DATABASE {0} SET work_mem = '1MB'", "setting work_mem for postgres"),
    ("GRANT CREATE ON DATABASE {0} TO PUBLIC", "rights on database for PUBLIC"),
    ("ALTER DATABASE {0} OWNER TO pg_monitor", "owner of database"),
    ("REVOKE EXECUTE ON FUNCTION pg_sleep FROM PUBLIC",
     "rights on system function pg_catalog.pg_sleep(double precision) for postgres"),
    ("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "rights on system language plpgsql for postgres"),
    ("REFRESH MATERIALIZED VIEW counts WITH NO DATA", "data of public.counts"),
    ("CREATE EXTENSION vector", "version of extension vector"),
    ("CREATE EXTENSION vector", "owner of extension vector"),
    ("ALTER TABLE users SET TABLESPACE away", "tablespace of public.users"),
]  # fmt: skip
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
SINCE_18 = [
    ("ALTER TABLE users ADD CONSTRAINT more CHECK (id > 0) NOT ENFORCED", "constraint public.users.more"),
    ("ALTER TABLE users ADD CONSTRAINT named NOT NULL name NOT VALID", "column public.users.name"),
    ("ALTER TABLE teams ALTER CONSTRAINT teams_name_not_null NO INHERIT", "column public.teams.name"),
    ("ALTER TABLE users DROP twice; ALTER TABLE users ADD twice int GENERATED ALWAYS AS (length(name) * 2) VIRTUAL",
     "column public.users.twice"),
    ("ALTER PUBLICATION chosen SET (publish_generated_columns = stored)", "publication chosen"),
]  # fmt: skip


@pytest.fixture(scope="module")
def clean(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """A database that its migrations made, to be left as it is."""
    bed = Bed(postgres, postgres.database(), tmp_path_factory.mktemp("migrations"))
    bed.write("1_init", SCHEMA)
    bed.migrate()
    record(bed.server, "public", check=False)
    return bed


def copied(clean: Bed) -> str:
    name = f"{clean.database}_{next(COPIES)}"
    clean.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {clean.database}")
    return name


@pytest.fixture
def bed(clean: Bed, tmp_path: Path) -> Bed:
    """A copy of it, to be changed."""
    shutil.copytree(clean.directory, tmp_path, dirs_exist_ok=True)
    return replace(clean, database=copied(clean), directory=tmp_path)


@pytest.fixture(scope="module")
def cursor(clean: Bed) -> Iterator[Cursor]:
    with contextlib.closing(clean.postgres.connect(copied(clean))) as connection, connection.cursor() as cursor:
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
        return [each.object for each in compare(before, catalogue.read_within(cursor))]
    finally:
        cursor.execute("ROLLBACK")


@pytest.mark.parametrize(("change", "shown"), CHANGES)
def test_a_manual_change_is_found(change: str, shown: str, before: Catalogue, cursor: Cursor) -> None:
    assert shown in found_after(change, before, cursor)
    assert shown in catalogue.without_environment({shown: "postgres"}, "postgres")


@pytest.mark.parametrize(("change", "shown"), OF_THE_ENVIRONMENT)
def test_a_change_of_the_environment_is_found_by_a_snapshot_alone(
    change: str, shown: str, before: Catalogue, cursor: Cursor
) -> None:
    assert shown in found_after(change.format(cursor.connection.info.dbname), before, cursor)
    assert shown not in catalogue.without_environment({shown: ""}, "postgres")


@pytest.mark.parametrize(("change", "shown"), SINCE_18)
def test_a_manual_change_that_18_allows_is_found(change: str, shown: str, before: Catalogue, cursor: Cursor) -> None:
    knows_it = cursor.connection.server_version >= 180000
    with contextlib.nullcontext() if knows_it else pytest.raises(psycopg2.Error):
        assert shown in found_after(change, before, cursor)


def test_manual_changes_are_found_by_replay_and_by_snapshot(bed: Bed) -> None:
    assert by_snapshot(bed.server, "public") == by_replay(bed.server, bed.files()) == []
    bed.sql("DROP INDEX users_name; ALTER TABLE users ALTER name SET DEFAULT 'y'; CREATE VIEW extra AS SELECT 1 AS n")
    expected = ["column public.users.name", "index public.users_name", "owner of public.extra",
                "rights on public.extra for postgres", "view public.extra"]  # fmt: skip
    assert [each.object for each in by_snapshot(bed.server, "public")] == expected
    assert [each.object for each in by_replay(bed.server, bed.files())] == expected


def test_clean_histories_show_nothing(postgres: Postgres, tmp_path: Path) -> None:
    bed = Bed(postgres, postgres.database(), tmp_path)
    for number in range(HISTORIES):
        bed.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        bed.sql("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor")
        for each in bed.directory.iterdir():
            shutil.rmtree(each)
        bed.write("0_counter", COUNTER)
        for name, (sql, _) in history(random.Random(number)).items():
            bed.write(name, sql)
        bed.migrate()
        assert by_replay(bed.server, bed.files()) == []


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
    found = [row[0] for row in cursor.fetchall()]
    cursor.execute("ROLLBACK")
    return sorted(found)


def test_every_object_has_a_name_of_its_own(before: Catalogue, cursor: Cursor) -> None:
    assert names(cursor, cursor.connection.server_version) == sorted(before)


def test_the_query_for_an_old_server_gives_the_same_names(before: Catalogue, cursor: Cursor) -> None:
    assert names(cursor, 120000) == sorted(before)


def test_the_members_of_an_extension_are_left_out(before: Catalogue, cursor: Cursor) -> None:
    expected = ["extension vector", "owner of extension vector", "version of extension vector"]
    assert found_after("CREATE EXTENSION vector", before, cursor) == expected


def test_prismas_history_and_what_is_ours_is_left_out(clean: Bed, before: Catalogue) -> None:
    assert len(clean.rows()) == len(clean.sql("TABLE slipway.schema_snapshot")) == 1
    assert [name for name in before if "_prisma_migrations" in name or "slipway" in name] == []


def test_passwords_are_left_out(before: Catalogue) -> None:
    assert before["server far"] == "WRAPPER wrapper OPTIONS host=a, password=***"
    assert "hidden" not in str(before)


def test_recording_twice_changes_nothing(bed: Bed) -> None:
    assert not record(bed.server, "public", check=False)
    bed.sql("CREATE TABLE extra ()")
    assert record(bed.server, "public", check=True)
    assert "table public.extra was added by hand" in [str(each) for each in by_snapshot(bed.server, "public")]
    assert record(bed.server, "public", check=False)
    assert by_snapshot(bed.server, "public") == []


def test_without_a_right_or_a_snapshot(bed: Bed) -> None:
    role = f"plain_{bed.database}"
    bed.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{bed.postgres.password}'; DROP SCHEMA slipway CASCADE")
    bed.sql(f"GRANT SELECT ON _prisma_migrations TO {role}")
    bed.user = role
    with pytest.raises(SlipwayError, match=r"may not create the database that the migrations are replayed in \(perm"):
        by_replay(bed.server, bed.files())
    with pytest.raises(SlipwayError, match=r"^No snapshot of the schema was recorded yet: record one"):
        by_snapshot(bed.server, "public")
    with pytest.raises(
        SlipwayError, match=r"may not create the database .* No snapshot of the schema was recorded yet"
    ):
        Comparison(bed.server, bed.server).differences(bed.files(), "auto")


def test_nothing_is_left_of_a_replay(bed: Bed) -> None:
    bed.write("1_init", "CREATE TABLE other ()")
    by_replay(bed.server, bed.files())
    assert bed.sql("SELECT datname FROM pg_database WHERE datname LIKE 'slipway_replay%'") == []
