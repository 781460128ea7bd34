# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that comes from elsewhere: what is given to its owner, what stays, and what former owners may do."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal, quote
from conftest import Postgres
from support.access import PASSWORD, SCHEMA, Site, make_site


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    return make_site(postgres, tmp_path)


PRISMA = """
    CREATE TYPE "Mood" AS ENUM ('good', 'bad');
    CREATE DOMAIN positive AS int CHECK (VALUE > 0);
    CREATE TYPE pair AS (a int, b int);
    CREATE TABLE "User" (id serial PRIMARY KEY, mood "Mood", number bigint GENERATED ALWAYS AS IDENTITY);
    CREATE TABLE event (at int) PARTITION BY RANGE (at);
    CREATE TABLE event_1 PARTITION OF event DEFAULT;
    CREATE SEQUENCE tickets;
    CREATE VIEW happy AS SELECT * FROM "User" WHERE mood = 'good';
    CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM "User";
    CREATE FUNCTION twice(x integer) RETURNS integer LANGUAGE sql AS 'SELECT x * 2';
    CREATE PROCEDURE nothing() LANGUAGE sql AS '';
    CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer);
    CREATE TABLE _prisma_migrations (id text);
    CREATE SCHEMA {schema}; CREATE TABLE {schema}.t ();
"""

GIVEN = [
    "aggregate public.total(integer)", "function public.twice(integer)",
    "materialized view public.counted", "procedure public.nothing()", 'schema "Sche""ma %s"', "sequence public.tickets",
    'table "Sche""ma %s".t', 'table public."User"', "table public._prisma_migrations", "table public.event",
    "table public.event_1", 'type public."Mood"', "type public.pair", "type public.positive", "view public.happy",
]  # fmt: skip


@pytest.mark.parametrize("managed", [False, True])
def test_a_database_that_prisma_made(postgres: Postgres, tmp_path: Path, managed: bool) -> None:
    """It and all that is in it belong to the role that Prisma migrated as, a superuser or the administrator's child."""
    site = Site(postgres, f"{postgres.database()}_prisma", tmp_path)
    admin, prisma = f"{site.database}_admin", f"{site.database}_role"
    postgres.execute(f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD 'the-administrator'")
    login = {"login_user": admin, "login_password": "the-administrator"} if managed else {}
    opened = postgres.connect("postgres", *login.values())
    opened.cursor().execute(f"CREATE ROLE {prisma} LOGIN {'' if managed else 'SUPERUSER'} PASSWORD %s", [PASSWORD])
    opened.close()
    postgres.execute(f"CREATE DATABASE {site.database} OWNER {prisma}")
    site.execute_as(prisma, PRISMA.format(schema=quote(SCHEMA)))

    check = site.access(check=True, **login)
    first = site.access(**login)
    assert first.get("msg") is None
    assert first["actions"] == check["actions"]
    owner = site.roles.owner
    given = [action for action in first["actions"] if action.startswith("Gave ")]
    assert given[0] == f"Gave database {site.database} to {owner}."
    assert sorted(given[1:]) == [f"Gave {what} to {owner}." for what in sorted(GIVEN)]
    assert first["actions"].count(f"Became a member of {prisma}.") == managed
    for mode in (True, False):
        again = site.access(check=mode, **login)
        assert (again["changed"], again["actions"]) == (False, [])

    assert site.info()["schema"]["violations"] == []
    site.execute_as(
        owner,
        f"""
        ALTER TYPE "Mood" ADD VALUE 'better'; ALTER TABLE "User" ADD name text; DROP FUNCTION twice;
        INSERT INTO _prisma_migrations VALUES ('1'); ALTER SEQUENCE tickets RESTART;
        DROP SCHEMA {quote(SCHEMA)} CASCADE;
        """,
    )
    site.execute_as(site.roles.application, """INSERT INTO "User" (mood) VALUES ('good'); SELECT FROM happy""")
    site.execute_as(site.roles.readonly, "SELECT FROM _prisma_migrations")
    assert site.execute(
        f"SELECT count(*) FROM pg_shdepend WHERE refobjid = '{prisma}'::regrole AND deptype = 'o'"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ) == [(0,)]


# Beside those above, what a superuser alone makes.
OTHERS = """
    CREATE TYPE span AS RANGE (subtype = float8);
    CREATE FUNCTION below("Mood", int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
    CREATE OPERATOR <<< (FUNCTION = below, LEFTARG = "Mood", RIGHTARG = int);
    CREATE OPERATOR FAMILY kin USING btree;
    CREATE OPERATOR CLASS texts FOR TYPE text USING hash AS OPERATOR 1 =, FUNCTION 1 hashtext(text);
    CREATE COLLATION plainly FROM "C";
    CREATE CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
    CREATE STATISTICS both_ ON id, mood FROM "User";
    CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple);
    CREATE TEXT SEARCH CONFIGURATION search (PARSER = "default");
    CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER told ON sql_drop EXECUTE FUNCTION told();
    CREATE FUNCTION rooted() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
    CREATE PUBLICATION chosen FOR TABLE "User";
    CREATE FOREIGN DATA WRAPPER wrapper;
    CREATE SERVER far FOREIGN DATA WRAPPER wrapper;
    CREATE FOREIGN TABLE abroad (id int) SERVER far;
    CREATE TRUSTED LANGUAGE tongue HANDLER plpgsql_call_handler;
    CREATE EXTENSION vector; CREATE SCHEMA tools; CREATE EXTENSION IF NOT EXISTS plpgsql;
"""


def test_every_kind_of_object_is_given_or_named(site: Site) -> None:
    creator = f"{site.database} root"
    site.postgres.execute(f"CREATE ROLE {quote(creator)} LOGIN SUPERUSER PASSWORD {literal(PASSWORD)}")
    site.execute_as(creator, PRISMA.format(schema=quote(SCHEMA)) + OTHERS)
    found = site.access()
    assert found.get("msg") is None
    kept = site.postgres.execute(
        "SELECT DISTINCT upper(left(type, 1)) || substr(type, 2) || ' ' || identity FROM pg_shdepend,"
        " pg_identify_object(classid, objid, objsubid) WHERE refobjid = %s::regrole AND deptype = 'o'"
        " AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND NOT EXISTS ("
        " SELECT FROM pg_depend d WHERE d.classid = pg_shdepend.classid AND d.objid = pg_shdepend.objid"
        " AND d.deptype = 'e') AND type <> 'extension'"
        # A multirange belongs to its range, though older servers leave its owner as it was.
        " AND NOT EXISTS (SELECT FROM pg_type t WHERE t.oid = objid AND t.typtype = 'm') ORDER BY 1",
        site.database,
        [quote(creator)],
    )
    assert [f"{what} stays {creator}'s." for (what,) in kept] == sorted(found["remarks"]) != []
    assert len(kept) == 6, kept
    assert site.access()["remarks"] == []


def test_a_release_that_still_serves_keeps_what_it_could_do(site: Site) -> None:
    old, reader = f"{site.database} old", f"{site.database} reader"
    for role in (old, reader):
        site.postgres.execute(f"CREATE ROLE {quote(role)} LOGIN PASSWORD {literal(PASSWORD)}")
    site.execute(f"ALTER DATABASE {quote(site.database)} OWNER TO {quote(old)}")
    site.execute_as(old, "CREATE SCHEMA shop; CREATE TABLE shop.t (id serial); SELECT lo_create(4711)")
    site.execute_as(old, f"GRANT USAGE ON SCHEMA shop TO {quote(reader)}; GRANT SELECT ON shop.t TO {quote(reader)}")
    serving = site.connect(old)

    first = site.access()
    assert (
        f"Let {reader}, which has rights or a session in database {site.database}, connect to it as before."
        in (first["actions"])
    )
    site.execute_as(reader, "SELECT FROM shop.t")
    site.execute_as(site.roles.application, "SELECT lo_put(4711, 0, 'x'); INSERT INTO shop.t DEFAULT VALUES")
    # Sessions old and new, of a release that also applies its migrations when it starts.
    serving.cursor().execute("INSERT INTO shop.t DEFAULT VALUES; ALTER TABLE shop.t ADD x int; SELECT lo_get(4711)")
    site.execute_as(old, "SELECT FROM shop.t")
    assert not site.access()["changed"]

    busy = site.access(released=True)
    told = f"Role {old}, which owned database {site.database} before, still has 1 session in it, so it keeps its rights"
    assert (busy["changed"], busy["remarks"]) == (False, [f"{told}: end what logs in as it."])
    serving.close()
    deadline = time.monotonic() + 30
    while (last := site.access(released=True))["remarks"]:
        assert time.monotonic() < deadline
    assert last["actions"] == [
        f"Took from {old}, which owned database {site.database} before and has no session left, its membership in "
        f"{site.roles.owner}.",
        f"Noted that {old} is no former owner of database {site.database} any more.",
    ]
    assert not site.access(released=True)["changed"]
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        site.connect(old)
    site.execute_as(reader, "SELECT FROM shop.t")


def test_a_superusers_privileged_function_stays_its_own(site: Site) -> None:
    """Its rights are what it is for; in other hands it would be another function."""
    site.execute("CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'")
    site.access()
    assert site.execute("SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'f'") == [("postgres",)]
