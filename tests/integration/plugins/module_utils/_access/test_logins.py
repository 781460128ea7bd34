# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a second login before it is there, and whose settings it has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.logins import (
    open_logins,
    plan_login,
    settings,
    wait_until_unused,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor

ROLE, LOGIN = "turns_app", "turns_app_b"


@pytest.fixture
def cursor(postgres: Postgres) -> Iterator[Cursor]:
    postgres.execute(f"DROP ROLE IF EXISTS {LOGIN}; DROP ROLE IF EXISTS {ROLE}")
    with contextlib.closing(postgres.connect()) as connection, connection.cursor() as found:
        connection.autocommit = True
        yield found
        found.execute(f"DROP ROLE IF EXISTS {LOGIN}; DROP ROLE IF EXISTS {ROLE}")


def plan(cursor: Cursor, database: str = "postgres") -> list[str]:
    return [statement.sql for statement in plan_login(cursor, database, ROLE, LOGIN)]


def test_the_role_itself_needs_nothing_and_no_login_is_closed_where_there_is_none(cursor: Cursor) -> None:
    assert plan_login(cursor, "postgres", ROLE, ROLE) == []
    assert open_logins(cursor, [ROLE, LOGIN]) == []
    begins = [f'GRANT "{ROLE}" TO "{LOGIN}"', f"""ALTER ROLE "{LOGIN}" SET "role" TO '{ROLE}'"""]
    assert plan(cursor) == begins
    cursor.execute(f"CREATE ROLE {ROLE}; CREATE ROLE {LOGIN} LOGIN")
    assert plan(cursor) == begins
    assert open_logins(cursor, [ROLE, LOGIN]) == [LOGIN]


def test_the_settings_of_the_role_in_the_database_go_before_those_in_all(cursor: Cursor) -> None:
    cursor.execute(f"CREATE ROLE {ROLE} CONNECTION LIMIT 3; CREATE ROLE {LOGIN}")
    cursor.execute(f"ALTER ROLE {ROLE} SET work_mem TO '5MB'; ALTER ROLE {ROLE} SET myapp.tenant TO 'a=b, c'")
    cursor.execute(f"ALTER ROLE {ROLE} IN DATABASE postgres SET work_mem TO '6MB'")
    cursor.execute(f"""ALTER ROLE {ROLE} IN DATABASE postgres SET search_path TO 'a, "b', public""")
    cursor.execute(f"ALTER ROLE {ROLE} IN DATABASE template1 SET work_mem TO '7MB'")
    cursor.execute(f"ALTER ROLE {LOGIN} SET lock_timeout TO '1s'")
    statements = plan(cursor)
    cursor.execute("; ".join(statements))
    assert settings(cursor, LOGIN, "") == {
        "role": ROLE, "work_mem": "6MB", "myapp.tenant": "a=b, c", "search_path": '"a, ""b", public',
    }  # fmt: skip
    assert settings(cursor, LOGIN, "postgres") == {}
    cursor.execute(f"SELECT rolconnlimit FROM pg_roles WHERE rolname = '{LOGIN}'")
    assert cursor.fetchone() == (3,)
    assert plan(cursor) == []


def test_who_is_left_is_told(cursor: Cursor, postgres: Postgres) -> None:
    cursor.execute(f"CREATE ROLE {LOGIN} LOGIN SUPERUSER PASSWORD 'hunter2'")
    wait_until_unused(cursor, LOGIN, 0)
    with (
        contextlib.closing(postgres.connect("postgres", LOGIN, "hunter2")) as one,
        contextlib.closing(postgres.connect("postgres", LOGIN, "hunter2")),
        one.cursor() as asked,
    ):
        asked.execute("SET application_name TO 'worker 3'; SELECT pg_backend_pid()")
        with pytest.raises(SlipwayError, match=f"Login {LOGIN} still has 2 sessions, ") as error:
            wait_until_unused(cursor, LOGIN, 0.1)
        assert f"process {asked.fetchone()[0]} in database postgres from " in str(error.value)
        assert "(worker 3)" in str(error.value)
