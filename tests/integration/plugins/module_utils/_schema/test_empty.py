# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that is emptied loses all that its application made, of whatever kind, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.module_utils._schema import empty
from conftest import Postgres
from support.access import Site, make_site

# As migrations make it, in an order that no order of dropping can follow.
MADE = """
    CREATE SCHEMA "Second %s";
    CREATE TYPE mood AS ENUM ('good', 'bad');
    CREATE DOMAIN "Second %s".positive AS int CHECK (VALUE > 0);
    CREATE TYPE pair AS (a int, b mood);
    CREATE TYPE span AS RANGE (subtype = float8);
    CREATE TABLE users (id serial PRIMARY KEY, mood mood, n "Second %s".positive, both_of pair, v vector(2));
    CREATE TABLE "Second %s".teams (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, lead int REFERENCES public.users);
    ALTER TABLE users ADD team int REFERENCES "Second %s".teams;
    CREATE TABLE events (at date, what text) PARTITION BY RANGE (at);
    CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    CREATE TABLE child () INHERITS (users);
    CREATE VIEW of_users AS SELECT id FROM users;
    CREATE MATERIALIZED VIEW kept_users AS SELECT * FROM of_users;
    CREATE SEQUENCE numbers;
    CREATE FUNCTION twice(mood) RETURNS mood LANGUAGE sql AS 'SELECT $1';
    CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
    CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int);
    CREATE AGGREGATE nothing_of(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
    CREATE FUNCTION alike(pair, pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a = ($2).a';
    CREATE OPERATOR === (LEFTARG = pair, RIGHTARG = pair, FUNCTION = alike);
    CREATE COLLATION plain FROM "C";
    CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
    CREATE STATISTICS of_two ON id, mood FROM users;
    CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simple);
    CREATE TEXT SEARCH CONFIGURATION english_too (COPY = english);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER noted BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION noted();
    ALTER TABLE users ENABLE ROW LEVEL SECURITY;
    CREATE POLICY mine ON users USING (true);
    CREATE PUBLICATION changes FOR TABLE events;
    CREATE TABLE _prisma_migrations (id text);
    INSERT INTO users (mood) VALUES ('good'), ('bad');
"""
LEFT = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    found = make_site(postgres, tmp_path)
    found.access()
    owner, database = quote(found.roles.owner), quote(found.database)
    for statement in (
        "CREATE EXTENSION vector",
        "COMMENT ON SCHEMA public IS 'all of it'",
        f"GRANT USAGE ON SCHEMA public TO pg_monitor; ALTER DATABASE {database} SET statement_timeout = '9s'",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO pg_monitor",
    ):
        found.execute(statement)
    found.execute(f"GRANT CREATE ON DATABASE {database} TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}")
    return found


@contextlib.contextmanager
def emptying(site: Site, role: str = "") -> Iterator[None]:
    """What empties it has been done within the block, and is committed at its end."""
    with contextlib.closing(site.postgres.connect(site.database)) as opened, opened.cursor() as cursor:
        cursor.execute("BEGIN")
        empty.empty(cursor, role or site.roles.owner, "1s")
        yield
        cursor.execute("COMMIT")


def found(site: Site) -> empty.Contents:
    with contextlib.closing(site.postgres.connect(site.database)) as opened, opened.cursor() as cursor:
        return empty.read(cursor, site.roles.owner)


def test_all_kinds_go_and_the_rest_stays(site: Site) -> None:
    owner, app = site.roles.owner, site.roles.application
    site.execute_as(
        owner,
        "CREATE SCHEMA slipway; CREATE TABLE slipway.schema_snapshot (taken_at int);"
        "CREATE TABLE slipway.migration_decisions (reason text);"
        "INSERT INTO slipway.schema_snapshot VALUES (1); INSERT INTO slipway.migration_decisions VALUES ('so')",
    )
    site.access()
    before, settings = site.rights, site.execute("SELECT setdatabase::text, setconfig FROM pg_db_role_setting")
    site.execute_as(owner, MADE)
    site.execute_as(app, "SELECT lo_create(0), lo_create(0)")
    assert found(site).counts() == (
        "6 tables, 2 aggregates, 1 collation, 1 conversion, 3 functions, 2 large objects, 1 materialized view, "
        "1 operator, 1 procedure, 1 publication, 1 schema, 1 sequence, 1 statistics object, "
        "1 text search configuration, 1 text search dictionary, 4 types, 1 view"
    )
    with emptying(site):
        pass
    assert site.rights == before
    assert site.execute("SELECT setdatabase::text, setconfig FROM pg_db_role_setting") == settings
    assert site.execute("SELECT obj_description('public'::regnamespace)") == [("all of it",)]
    assert site.execute("SELECT extname FROM pg_extension ORDER BY 1") == [("plpgsql",), ("vector",)]
    assert site.execute("SELECT * FROM slipway.schema_snapshot") == []
    assert site.execute("SELECT * FROM slipway.migration_decisions") == [("so",)]
    assert site.execute("SELECT count(*) FROM pg_largeobject_metadata, pg_publication") == [(0,)]
    assert (list(found(site).goes), found(site).large_objects) == ([], {})
    site.execute_as(owner, MADE)  # the migrations run again
    with emptying(site):
        pass
    with emptying(site):  # there is nothing to do
        pass
    assert site.rights == before


def test_extensions_that_a_migration_created_go_with_their_schema(site: Site) -> None:
    site.execute("DROP EXTENSION vector")
    site.execute_as(site.roles.owner, "CREATE SCHEMA theirs; CREATE SCHEMA kept; CREATE TABLE kept.t ()")
    site.execute("CREATE EXTENSION vector SCHEMA theirs")
    site.execute_as(site.roles.owner, "CREATE TABLE theirs.t (v theirs.vector(2))")
    with emptying(site):
        pass
    assert site.execute("SELECT nspname FROM pg_namespace WHERE nspname IN ('theirs', 'kept')") == [("theirs",)]
    assert site.execute("SELECT extname FROM pg_extension WHERE extname = 'vector'") == [("vector",)]
    # As a trusted one, which the owner may create.
    site.execute(f"UPDATE pg_extension SET extowner = '{quote(site.roles.owner)}'::regrole WHERE extname = 'vector'")
    with emptying(site):
        pass
    assert site.execute("SELECT nspname FROM pg_namespace WHERE nspname = 'theirs'") == []
    assert site.execute("SELECT extname FROM pg_extension WHERE extname = 'vector'") == []


@pytest.mark.parametrize(
    ("by_hand", "named"),
    [
        ("CREATE TABLE public.by_hand ()", "table public.by_hand of role postgres"),
        ("CREATE VIEW public.of_mine AS SELECT * FROM mine", "view public.of_mine of role postgres"),
        ("CREATE PUBLICATION theirs FOR TABLE mine", "publication theirs of role postgres"),
        ("CREATE SCHEMA audit; CREATE TABLE audit.log ()", "table audit.log of role postgres"),
        (
            "CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
            "CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION noted()",
            "event trigger noting of role postgres; function public.noted() of role postgres",
        ),
        (
            "CREATE SUBSCRIPTION copied CONNECTION 'host=/nonexistent' PUBLICATION p WITH (connect = false)",
            "subscription copied of role postgres",
        ),
    ],
)
def test_what_others_made_stops_it(site: Site, by_hand: str, named: str) -> None:
    site.execute_as(site.roles.owner, "CREATE TABLE mine (id int); INSERT INTO mine VALUES (1)")
    site.execute(by_hand)
    before = site.rights
    with pytest.raises(SlipwayError) as caught, emptying(site):
        pass
    assert str(caught.value) == (
        f"Database {site.database!r} holds what is not its owner's, so that no migration makes it again: {named}. "
        f"Nothing was dropped: drop these by hand, or give them to {site.roles.owner}, and run again."
    )
    assert (site.rights, site.execute("SELECT * FROM mine")) == (before, [(1,)])
    if "SUBSCRIPTION" in by_hand:
        site.execute("ALTER SUBSCRIPTION copied SET (slot_name = NONE)")
        site.execute("DROP SUBSCRIPTION copied")


def test_what_depends_on_it_from_elsewhere_stops_it(site: Site) -> None:
    site.execute_as(
        site.roles.owner,
        "CREATE TABLE mine (id int); CREATE SCHEMA slipway; CREATE VIEW slipway.of_mine AS SELECT * FROM public.mine",
    )
    before = site.rights
    with pytest.raises(SlipwayError) as caught, emptying(site):
        pass
    assert str(caught.value) == (
        f"Emptying database {site.database!r} would drop what depends on the application's objects and is not the "
        f"application's: view slipway.of_mine of role {site.roles.owner}. Nothing was dropped: remove these by hand, "
        "and run again."
    )
    assert site.rights == before


def test_a_table_in_use_is_waited_for_no_longer_than_is_said(site: Site) -> None:
    site.execute_as(site.roles.owner, "CREATE TABLE mine (id int)")
    with contextlib.closing(site.connect(site.roles.owner)) as reader, reader.cursor() as reading:
        reading.execute("BEGIN; SELECT * FROM mine")
        with pytest.raises(psycopg2.errors.QueryCanceled), emptying(site):
            pass
    assert site.execute(LEFT) == [(1,)]
