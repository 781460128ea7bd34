# SPDX-License-Identifier: GPL-3.0-or-later
"""A role gets into a copy and, where requests write, into a copy of that; what it leaves open is ended."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from ansible_collections.slipway.deploy.plugins.module_utils._release.trial import Place
from ansible_collections.slipway.deploy.plugins.module_utils._release.tried_copy import TriedCopy, place_of, sought
from conftest import Postgres

pytestmark = pytest.mark.once
PASSWORD = "hunter2"


@pytest.fixture
def copy(postgres: Postgres) -> Iterator[TriedCopy]:
    name = postgres.database()
    postgres.execute(f"CREATE ROLE {name}_app LOGIN PASSWORD '{PASSWORD}'")
    postgres.execute(f"COMMENT ON DATABASE {name} IS '{MARK}'; REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    server = Server(postgres.user, name, postgres.password, socket_dir=str(postgres.socket_dir))
    yield TriedCopy(server, "postgres", f"{name}_app")
    for database in (f"{name}_again", name):
        postgres.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    postgres.execute(f"DROP ROLE {name}_app")


@pytest.mark.parametrize("writes", [False, True])
def test_the_role_gets_in(postgres: Postgres, copy: TriedCopy, writes: bool) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        postgres.connect(copy.name, copy.role, PASSWORD)
    copy.prepare(writes=writes)
    databases = "SELECT datname FROM pg_database WHERE datname LIKE %s"
    found = [name for (name,) in postgres.execute(databases, parameters=[f"{copy.name}_%"])]
    assert found == ([copy.writable] if writes else [])
    for database in (copy.name, *found):
        postgres.connect(database, copy.role, PASSWORD).close()
    copy.settle()
    assert postgres.execute(databases, parameters=[f"{copy.name}_%"]) == []


def test_what_is_open_is_ended_and_what_is_idle_is_not(postgres: Postgres, copy: TriedCopy) -> None:
    copy.prepare(writes=False)
    idle, busy = (postgres.connect(copy.name, copy.role, PASSWORD) for _ in range(2))
    with idle.cursor() as one, busy.cursor() as other:
        one.execute("SELECT 1")
        other.execute("BEGIN; SELECT 1")
        copy.settle()
        one.execute("SELECT 2")
        with pytest.raises(psycopg2.OperationalError, match="connection"):
            other.execute("SELECT 2")
    for session in (idle, busy):
        session.close()


SEEKS = {"sought_socket": "", "sought_host": "db", "sought_port": 6543, "sought_ca": "/ca.pem"}


@pytest.mark.parametrize(
    ("mode", "needed"),
    [("require", ("require", "/ca.pem")), ("verify-full", ("verify-full", "/ca.pem")), ("prefer", ()), ("disable", ())],
)
def test_where_it_is_looked_for(mode: str, needed: tuple[str, ...]) -> None:
    assert sought({**SEEKS, "sought_ssl_mode": mode}) == Place("", "db", 6543, *needed)


def test_where_the_relay_finds_it() -> None:
    assert place_of(Server("x", "y")) == Place("", "localhost", 5432, "prefer", "")
    assert place_of(Server("x", "y", host="db", ssl_mode="verify-ca", ca_cert="/a")).authority == "/a"
