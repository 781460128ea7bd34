# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client role could do to the schema, or can't do, is a sentence. Every fault is rolled back again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import Roles, add_stamp
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal, quote
from ansible_collections.slipway.deploy.plugins.module_utils._schema import snapshot, tables
from ansible_collections.slipway.deploy.plugins.module_utils._schema.tables import Rights
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor
from support.access import SCHEMA, Site, make_site


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A database with tables, a history of migrations, and the rights that each role should have."""
    site = make_site(postgres, tmp_path_factory.mktemp("site"))
    site.access()
    site.execute_as(
        site.roles.owner,
        f"""
        CREATE TABLE t (id serial, x int);
        INSERT INTO t (x) SELECT generate_series(1, 3);
        CREATE SCHEMA {quote(SCHEMA)}; CREATE TABLE {quote(SCHEMA)}."ta""ble %" ();
        CREATE TABLE _prisma_migrations (id text);
        INSERT INTO _prisma_migrations VALUES ('1');
        REVOKE INSERT, UPDATE, DELETE ON _prisma_migrations FROM {quote(site.roles.application)};
        CREATE TABLE event (at int) PARTITION BY RANGE (at);
        CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (1) TO (10);
        CREATE TABLE event_rest PARTITION OF event DEFAULT;
        INSERT INTO event VALUES (1), (100);
        CREATE VIEW v AS SELECT 1;
        """,
    )
    return site


@pytest.fixture
def cursor(site: Site) -> Iterator[Cursor]:
    opened = site.postgres.connect(site.database)
    opened.autocommit = False
    with opened.cursor() as found:
        yield found
    opened.close()


def names(site: Site) -> dict[str, str]:
    return {
        "app": site.roles.application,
        "readonly": site.roles.readonly,
        "owner": site.roles.owner,
        "database": site.database,
        "schema": SCHEMA,
        "table": 'ta"ble %',
    }


def do(site: Site, cursor: Cursor, sql: str) -> None:
    cursor.execute(sql.format(**{kind: quote(name) for kind, name in names(site).items()}))


NO_USE = (
    "Role {app} may not use schema {schema}: GRANT it USAGE in a migration, or REVOKE it in one where that is meant."
)
NO_RIGHT = (
    "Role {app} has no right on {}: GRANT what it needs in a migration, or REVOKE ALL in one where that is meant."
)
# What is done by hand, and the sentences that tell of it; {app}, {readonly} and {owner} are the roles.
FAULTS = {
    "SELECT 1": [],
    "ALTER ROLE {app} SUPERUSER CREATEDB": ["Role {app} is a superuser."],
    "GRANT {owner} TO {app}": ["Role {app} is a member of {owner}."],
    "GRANT {owner} TO {readonly}": ["Role {readonly} is a member of {owner}."],
    "ALTER ROLE {app} CREATEDB CREATEROLE": ["Role {app} may create databases.", "Role {app} may create roles."],
    "ALTER ROLE {readonly} REPLICATION BYPASSRLS": [
        "Role {readonly} may replicate.",
        "Role {readonly} bypasses row-level security.",
    ],
    "REVOKE CONNECT ON DATABASE {database} FROM {app}": ["Role {app} may not connect."],
    "GRANT CREATE ON DATABASE {database} TO {app}": [
        "Role {app} may create schemas in database {database}, which no migration says: REVOKE that."
    ],
    "GRANT CREATE ON SCHEMA public TO {app}": [
        "Role {app} may create objects in schema public, which no migration says: REVOKE that."
    ],
    "GRANT CREATE ON SCHEMA {schema} TO PUBLIC": [
        "Role {app} may create objects in schema {schema}, which no migration says: REVOKE that.",
        "Role {readonly} may create objects in schema {schema}, which no migration says: REVOKE that.",
    ],
    "REVOKE USAGE ON SCHEMA {schema} FROM {app}": [NO_USE],
    "REVOKE ALL ON t, {schema}.{table} FROM {app}": [NO_RIGHT.replace("{}", "{schema}.{table}, public.t")],
    "REVOKE ALL ON event FROM {app}; REVOKE ALL ON event_1 FROM {app}": [NO_RIGHT.replace("{}", "public.event")],
    "REVOKE ALL ON t FROM {app}; GRANT SELECT (id) ON t TO {app}": [],
    "REVOKE INSERT, SELECT ON t FROM {app}; GRANT TRUNCATE, TRIGGER ON t TO {readonly}": [],
    "ALTER TABLE {schema}.{table} OWNER TO {app}": ['Role {app} owns table "Sche""ma %s"."ta""ble %".'],
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() OWNER TO {app}": [
        "Role {app} owns function public.f()."
    ],
    "ALTER SCHEMA {schema} OWNER TO {readonly}": [
        'Role {readonly} owns schema "Sche""ma %s".',
        "Role {readonly} may create objects in schema {schema}, which no migration says: REVOKE that.",
    ],
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_violations(site: Site, cursor: Cursor, fault: str) -> None:
    do(site, cursor, fault)
    found = tables.violations(cursor, site.roles, Rights())
    assert found == ([sentence.format(**names(site)) for sentence in FAULTS[fault]], [])


# What migrations say is no violation; the same done by hand afterwards is.
SAID = [
    ("GRANT CREATE ON SCHEMA public TO {app}", "GRANT CREATE ON SCHEMA {schema} TO {app}"),
    ("GRANT ALL ON SCHEMA {schema} TO PUBLIC", "GRANT ALL ON SCHEMA public TO PUBLIC"),
    ("REVOKE USAGE ON SCHEMA {schema} FROM {app}", "GRANT CREATE ON SCHEMA public TO {app}"),
    ("REVOKE ALL ON t FROM {app}, {readonly}", "REVOKE ALL ON public.event FROM {app}"),
    ("GRANT CREATE ON DATABASE {database} TO {app}", "REVOKE USAGE ON SCHEMA {schema} FROM {readonly}"),
]


@pytest.mark.parametrize(("said", "done"), SAID)
def test_what_migrations_say_is_no_violation(site: Site, cursor: Cursor, said: str, done: str) -> None:
    do(site, cursor, said)
    recorded = snapshot.catalogue.read_within(cursor)
    cursor.execute("CREATE SCHEMA slipway; " + snapshot._TABLE)
    cursor.execute(
        "INSERT INTO slipway.schema_snapshot (migrations, catalogue, reading) VALUES ('[]', %s, %s)",
        (json.dumps(recorded), snapshot._reading(cursor)),
    )
    rights = Rights(snapshot.rights(cursor))
    assert rights.known
    assert tables.violations(cursor, site.roles, rights) == ([], [])
    do(site, cursor, done)
    assert tables.violations(cursor, site.roles, rights)[0] != []
    cursor.execute("UPDATE slipway.schema_snapshot SET reading = 'of another version'")
    assert snapshot.rights(cursor) is None


def test_roles_that_do_not_exist(site: Site, cursor: Cursor) -> None:
    roles = Roles("x", "y", site.roles.readonly)
    assert tables.violations(cursor, roles, Rights()) == (["Role y does not exist."], [])


def test_a_former_owner_that_is_the_application(site: Site, cursor: Cursor) -> None:
    """Its old release still serves, with the rights that it had."""
    do(site, cursor, "GRANT {owner} TO {app}")
    marked = add_stamp("", "test", [site.roles.application])
    cursor.execute(f"COMMENT ON DATABASE {quote(site.database)} IS {literal(marked)}")
    told = (
        f"Role {site.roles.application} owned the database before and is a member of {site.roles.owner} until a later"
    )
    assert tables.violations(cursor, site.roles, Rights()) == ([], [f"{told} deploy."])


def test_tables(cursor: Cursor) -> None:
    found = tables.tables(cursor)
    assert [(table.schema, table.name, table.rows, table.exact) for table in found] == [
        (SCHEMA, 'ta"ble %', 0, True),
        ("public", "event", 2, True),
        ("public", "t", 3, True),
    ]
    cursor.execute(
        "SELECT 0, (SELECT sum(pg_total_relation_size(r)) FROM unnest('{event_1,event_rest}'::regclass[]) r)"
    )
    assert [table.bytes for table in found[:2]] == list(cursor.fetchall()[0])


def test_an_extensions_rows_are_not_the_applications(cursor: Cursor) -> None:
    """As the 8,500 of PostGIS in an empty database."""
    cursor.execute("CREATE TABLE spatial AS SELECT 1 AS x; ALTER EXTENSION plpgsql ADD TABLE spatial")
    assert "spatial" not in [table.name for table in tables.tables(cursor)]


def test_large_tables_are_estimated(cursor: Cursor) -> None:
    cursor.execute("UPDATE pg_class SET reltuples = 1000001 WHERE relname = 't' RETURNING 1")
    [table] = [table for table in tables.tables(cursor) if table.name == "t"]
    assert (table.rows, table.exact) == (1_000_001, False)


FORCED = "ALTER TABLE {} ENABLE ROW LEVEL SECURITY; ALTER TABLE {} FORCE ROW LEVEL SECURITY"


def test_rows_are_never_hidden_from_a_count(site: Site, cursor: Cursor) -> None:
    do(site, cursor, FORCED.replace("{}", "t") + ";" + FORCED.replace("{}", "event_1"))
    do(site, cursor, "CREATE TABLE none (id int); ALTER TABLE none OWNER TO {owner};" + FORCED.replace("{}", "none"))
    do(site, cursor, "CREATE TABLE another () ; SET LOCAL ROLE {owner}")
    found = {table.name: (table.rows, table.exact, table.hidden) for table in tables.tables(cursor)}
    assert found == {
        'ta"ble %': (0, True, ""),
        "event": (None, False, f"row-level security hides rows of it from role {site.roles.owner}"),
        "t": (None, False, f"row-level security hides rows of it from role {site.roles.owner}"),
        "none": (0, True, ""),  # it takes no space
        "another": (0, True, ""),
    }
    cursor.execute("RESET ROLE")
    assert [table.rows for table in tables.tables(cursor) if table.name in ("event", "t")] == [2, 3]


# What is said about row-level security on t, and for which of the two roles it shows nothing.
SECURED = [
    ("", ["app", "readonly"]),
    ("CREATE POLICY p ON t USING (true)", []),
    ("CREATE POLICY p ON t TO {app} USING (true)", ["readonly"]),
    ("CREATE POLICY p ON t FOR INSERT TO {app} WITH CHECK (true)", ["readonly"]),
    ("CREATE POLICY p ON t TO pg_monitor", ["app", "readonly"]),
    ("CREATE POLICY p ON t AS RESTRICTIVE USING (true)", ["app", "readonly"]),
    ("CREATE POLICY p ON t TO pg_monitor; GRANT pg_monitor TO {app}", ["readonly"]),
    ("REVOKE ALL ON t FROM {app}; GRANT DELETE ON t TO {app}", ["app", "readonly"]),
    ("ALTER TABLE t DISABLE ROW LEVEL SECURITY; ALTER TABLE _prisma_migrations ENABLE ROW LEVEL SECURITY", []),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "blind"), SECURED)
def test_row_level_security_without_a_policy(site: Site, cursor: Cursor, sql: str, blind: list[str]) -> None:
    do(site, cursor, f"ALTER TABLE t ENABLE ROW LEVEL SECURITY; {sql}")
    found = tables.violations(cursor, site.roles, Rights())
    for told, kind in zip(found, ("app", "readonly"), strict=True):
        role = names(site)[kind]
        assert told == (
            [
                f"Row-level security shows role {role} no row of public.t, and lets it write none, since no policy is "
                f"for it: in a migration, CREATE POLICY … TO {quote(role)}, or DISABLE ROW LEVEL SECURITY, or REVOKE "
                f"ALL … FROM {quote(role)} where that is meant."
            ]
            if kind in blind
            else []
        )
