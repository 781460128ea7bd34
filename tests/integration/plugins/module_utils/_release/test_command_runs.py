# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the runs of commands: who may write it, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access import rights
from ansible_collections.slipway.deploy.plugins.module_utils._release import command_runs
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor

ROLES = rights.Roles("runs_owner", "runs_app", "runs_readonly")
HOUR = 3600


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    """A database whose default privileges give the clients what a deploy gives them, and a table of an earlier one."""
    name = postgres.database()
    for role in (ROLES.owner, ROLES.application, ROLES.readonly):
        postgres.execute(f"CREATE ROLE {role} LOGIN")
    postgres.execute(f"ALTER DATABASE {name} OWNER TO {ROLES.owner}")
    with postgres.connect(name) as opened, opened.cursor() as cursor:
        cursor.execute(f"SET SESSION AUTHORIZATION {ROLES.owner}")
        cursor.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {ROLES.application}, {ROLES.readonly}")
        cursor.execute("CREATE SCHEMA slipway; CREATE TABLE slipway.schema_snapshot (a int)")
        assert not command_runs.exists(cursor)
        command_runs.prepare(cursor, ROLES.application)
        assert command_runs.exists(cursor)
    return name


@pytest.fixture
def cursor(postgres: Postgres, database: str) -> Iterator[Cursor]:
    """As the application."""
    opened = postgres.connect(database)
    with opened.cursor() as cursor:
        cursor.execute("DELETE FROM slipway.command_runs")
        cursor.execute(f"SET SESSION AUTHORIZATION {ROLES.application}")
        yield cursor
    opened.close()


def test_the_application_writes_that_table_alone(cursor: Cursor) -> None:
    assert command_runs.begin(cursor, "cleanup", 0, "web1", "r1") == ""
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("SELECT FROM slipway.schema_snapshot")
    cursor.execute("RESET SESSION AUTHORIZATION")
    cursor.execute(f"SET SESSION AUTHORIZATION {ROLES.readonly}")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute("SELECT FROM slipway.command_runs")


def test_a_deploy_leaves_that_right_and_gives_it_back(postgres: Postgres, database: str) -> None:
    with postgres.connect(database) as opened, opened.cursor() as cursor:
        assert rights.own_rights(cursor, ROLES) == []
        cursor.execute(f"REVOKE USAGE ON SCHEMA slipway FROM {ROLES.application}")
        cursor.execute(f"GRANT CREATE ON SCHEMA slipway TO {ROLES.application}")
        cursor.execute(f"GRANT USAGE ON SCHEMA slipway TO {ROLES.readonly}")
        found = rights.own_rights(cursor, ROLES)
        assert [each.done for each in found] == [
            "Granted runs_app USAGE on schema slipway.",
            "Took CREATE on schema slipway from runs_app.",
            "Took USAGE on schema slipway from runs_readonly.",
        ]
        for each in found:
            cursor.execute(each.sql)
        assert rights.own_rights(cursor, ROLES) == []


def test_runs_are_listed_by_command_the_newest_first_and_forgotten_when_long_past(cursor: Cursor) -> None:
    for hour in range(command_runs.KEPT + 2):
        assert command_runs.begin(cursor, "cleanup", hour * HOUR, "web1", "r1") == ""
        command_runs.end(cursor, "cleanup", hour * HOUR, 2.4, hour % 3)
    command_runs.begin(cursor, "a report", 5 * HOUR, "web2", "")
    found = command_runs.runs(cursor, ["cleanup", "a report", "none"], most=2)
    assert [run.sentence for run in found] == [
        "a report: 1970-01-01 05:00 at web2, at work, release -",
        "cleanup: 1970-01-05 05:00 at web1, 2 s, exit status 2, release r1",
        "cleanup: 1970-01-05 04:00 at web1, 2 s, exit status 1, release r1",
    ]
    cursor.execute("SELECT count(*), min(due) = to_timestamp(%s) FROM slipway.command_runs WHERE command = 'cleanup'",
                   [2 * HOUR])  # fmt: skip
    assert cursor.fetchone() == (command_runs.KEPT, True)
