# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that reads statistics sees what the server counts, and no row."""

from __future__ import annotations

from dataclasses import replace

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access import monitor
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import by_snapshot, record
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, autocommit
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from conftest import Postgres
from support.access import PASSWORD as ROLES_PASSWORD
from support.access import Site, make_site

PASSWORD = "the monitor's password"


@pytest.fixture
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = make_site(postgres, tmp_path_factory.mktemp("home"))
    made.access()
    made.execute_as(made.roles.owner, "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1), (2)")
    return made


def server(site: Site) -> Server:
    postgres = site.postgres
    return Server(postgres.user, site.database, postgres.password, socket_dir=str(postgres.socket_dir))


def make(site: Site, role: str, password: str = PASSWORD) -> list[str]:
    with autocommit(server(site)) as cursor:
        statements = monitor.plan(cursor, server(site), role, password)
        for statement in statements:
            cursor.execute(statement.sql)
    return [statement.done for statement in statements]


def remove(site: Site, role: str) -> list[str]:
    with autocommit(server(site)) as cursor:
        statements = monitor.plan_removal(cursor, role)
        for statement in statements:
            cursor.execute(statement.sql)
    return [statement.done for statement in statements]


def test_what_the_role_may(site: Site) -> None:
    role = f'{site.database} "monitor"'
    before = site.rights
    assert make(site, role) == [
        f"Created role {role}.",
        f"Made role {role} a member of pg_monitor.",
        f"Granted {role} CONNECT on database {site.database}.",
    ]
    assert make(site, role) == []
    as_role = replace(server(site), user=role, password=PASSWORD)
    with autocommit(as_role) as cursor:
        cursor.execute("SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = 'orders'")
        assert cursor.fetchall() == [(2,)]
        cursor.execute("SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = %s AND query <> ''", [role])
        assert cursor.fetchall() == [(True,)]
        for refused in (
            "SELECT FROM orders",
            "CREATE TABLE mine (a int)",
            "CREATE SCHEMA mine",
            "CREATE TEMPORARY TABLE mine (a int)",
            "CREATE ROLE another",
        ):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(refused)
    assert site.execute(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls,"
        " array(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = pg_roles.oid)"
        f" FROM pg_roles WHERE rolname = '{role}'"
    ) == [(False, ["pg_monitor"])]
    # What VERIFY and the health check look at takes no notice of it, and a deploy leaves it as it is.
    assert site.info()["schema"]["violations"] == []
    assert site.access()["changed"] is False

    assert make(site, role, "another") == [f"Changed the password of role {role}."]
    assert remove(site, role) == [f"Took database {site.database} from {role}.", f"Dropped role {role}."]
    assert remove(site, role) == []
    assert site.rights == before


def test_role_that_may_too_much(site: Site) -> None:
    role = f"{site.database} too much"
    site.postgres.execute(f"CREATE ROLE {quote(role)} LOGIN CREATEDB PASSWORD 'x'")
    assert f"Made role {role} NOCREATEDB." in make(site, role)
    remove(site, role)


def test_it_is_no_drift(site: Site) -> None:
    """Neither that it comes nor that it goes, whether the schema was recorded with it or without; others are told."""
    role, other = (f"{site.database} {name}" for name in ("monitor", "other"))
    owner = replace(server(site), user=site.roles.owner, password=ROLES_PASSWORD)
    record(owner, "public", check=False)
    make(site, role)
    assert by_snapshot(owner, "public") == []
    assert record(owner, "public", check=False) is False
    remove(site, role)
    assert by_snapshot(owner, "public") == []

    make(site, role)
    site.execute_as(site.roles.owner, "CREATE TABLE later (id int PRIMARY KEY)")
    assert record(owner, "public", check=False) is True
    remove(site, role)
    assert by_snapshot(owner, "public") == []

    make(site, role)
    site.postgres.execute(f"CREATE ROLE {quote(other)}")
    for each, right in ((other, "CONNECT"), (role, "CREATE")):
        site.postgres.execute(f"GRANT {right} ON DATABASE {quote(site.database)} TO {quote(each)}")
    assert [str(each) for each in by_snapshot(owner, "public")] == [
        f"rights on database for {quote(role)} was added by hand: CONNECT, CREATE",
        f"rights on database for {quote(other)} was added by hand: CONNECT",
    ]
    for each in (role, other):
        remove(site, each)


def test_database_that_a_restore_put_aside(site: Site) -> None:
    """It keeps who may connect, so that the role is to be taken from it too."""
    role = f"{site.database} monitor"
    aside = f"{site.database}_before_restore"
    site.postgres.execute(f"CREATE DATABASE {quote(aside)}")
    make(site, role)
    site.postgres.execute(f"GRANT CONNECT ON DATABASE {quote(aside)} TO {quote(role)}")
    assert remove(site, role)[-1] == f"Dropped role {role}."
    site.postgres.execute(f"DROP DATABASE {quote(aside)}")
