# SPDX-License-Identifier: GPL-3.0-or-later
"""Each right too many or too few is one sentence. Every fault is rolled back, so that one database serves all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from access_support import SCHEMA, Site, make_site
from ansible_collections.slipway.deploy.plugins.module_utils import _schema
from ansible_collections.slipway.deploy.plugins.module_utils._access import Roles, quote
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor

SCHEMAS = ["public", SCHEMA]


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
        CREATE TABLE {quote(SCHEMA)}."ta""ble %" ();
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


# What is done by hand, and the sentences that tell of it; {app}, {readonly} and {owner} are the roles.
FAULTS = {
    "SELECT 1": [],
    "ALTER ROLE {app} SUPERUSER CREATEDB": ["Role {app} is a superuser."],
    "GRANT {owner} TO {app}": ["Role {app} is a member of {owner}."],
    "GRANT {owner} TO {readonly}": ["Role {readonly} is a member of {owner}."],
    "ALTER ROLE {app} CREATEDB CREATEROLE": ["Role {app} may create databases.", "Role {app} may create roles."],
    "ALTER ROLE {readonly} REPLICATION BYPASSRLS": [
        "Role {readonly} may replicate.",
        "Role {readonly} passes row security.",
    ],
    "REVOKE CONNECT ON DATABASE {database} FROM {app}": ["Role {app} may not connect."],
    "GRANT CREATE ON SCHEMA public TO {app}": ["Role {app} may create objects in schema public."],
    "GRANT CREATE ON SCHEMA {schema} TO PUBLIC": [
        "Role {app} may create objects in schema {schema}.",
        "Role {readonly} may create objects in schema {schema}.",
    ],
    "REVOKE USAGE ON SCHEMA {schema} FROM {readonly}": ["Role {readonly} may not use schema {schema}."],
    "GRANT INSERT ON _prisma_migrations TO {app}": ["Role {app} has INSERT on public._prisma_migrations."],
    "REVOKE SELECT ON _prisma_migrations FROM {app}": ["Role {app} lacks SELECT on public._prisma_migrations."],
    "GRANT UPDATE ON t TO {readonly}": ["Role {readonly} has UPDATE on public.t."],
    "REVOKE INSERT, SELECT ON t FROM {app}": ["Role {app} lacks INSERT, SELECT on public.t."],
    "GRANT TRUNCATE, TRIGGER ON t TO {app}": ["Role {app} has TRIGGER, TRUNCATE on public.t."],
    "REVOKE USAGE ON SEQUENCE t_id_seq FROM {app}": ["Role {app} lacks USAGE on public.t_id_seq."],
    "GRANT UPDATE ON SEQUENCE t_id_seq TO {readonly}": ["Role {readonly} has UPDATE on public.t_id_seq."],
    "REVOKE DELETE ON {schema}.{table} FROM {app}": ["Role {app} lacks DELETE on {schema}.{table}."],
    "ALTER TABLE {schema}.{table} OWNER TO {app}": ["Role {app} owns {schema}.{table}."],
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_violations(site: Site, cursor: Cursor, fault: str) -> None:
    names = {
        "app": site.roles.application,
        "readonly": site.roles.readonly,
        "owner": site.roles.owner,
        "database": site.database,
        "schema": SCHEMA,
        "table": 'ta"ble %',
    }
    cursor.execute(fault.format(**{kind: quote(name) for kind, name in names.items()}))
    found = _schema.violations(cursor, SCHEMAS, site.roles)
    assert found == [sentence.format(**names) for sentence in FAULTS[fault]]


def test_roles_that_do_not_exist(site: Site, cursor: Cursor) -> None:
    assert _schema.violations(cursor, SCHEMAS, Roles("x", "y", site.roles.readonly)) == ["Role y does not exist."]


def test_tables(cursor: Cursor) -> None:
    found = _schema.tables(cursor, SCHEMAS)
    assert [(table.schema, table.name, table.rows, table.exact) for table in found] == [
        (SCHEMA, 'ta"ble %', 0, True),
        ("public", "event", 2, True),
        ("public", "t", 3, True),
    ]
    cursor.execute(
        "SELECT 0, (SELECT sum(pg_total_relation_size(r)) FROM unnest('{event_1,event_rest}'::regclass[]) r)"
    )
    assert [table.bytes for table in found[:2]] == list(cursor.fetchall()[0])
    assert _schema.tables(cursor, ["nowhere"]) == []


def test_large_tables_are_estimated(cursor: Cursor) -> None:
    cursor.execute("UPDATE pg_class SET reltuples = 1000001 WHERE relname = 't' RETURNING 1")
    [table] = [table for table in _schema.tables(cursor, ["public"]) if table.name == "t"]
    assert (table.rows, table.exact) == (1_000_001, False)
