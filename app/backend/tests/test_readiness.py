# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import psycopg
import pytest
from fastapi.testclient import TestClient

from autotest.readiness import REQUIRED_MIGRATION, REQUIRED_MIGRATIONS
from conftest import MIGRATIONS, Server

LAST = "20250807044828_add_workflow_run_id_to_scheduled_tests"


@pytest.fixture
def database(server: Server) -> str:
    """A database of its own, since these tests damage it."""
    return server.create_database("migrated")


def not_ready(client: TestClient) -> str:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unavailable"
    return str(answer.json()["reason"])


def test_required_migrations_are_those_in_the_directory() -> None:
    assert list(REQUIRED_MIGRATIONS) == MIGRATIONS


def test_ready(client: TestClient) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "release": "r42", "migration": REQUIRED_MIGRATION}


def test_a_newer_database_is_fine(client: TestClient, sql: psycopg.Connection) -> None:
    sql.execute("INSERT INTO _prisma_migrations VALUES ('x', '', now(), '20990101000000_newer')")
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM _prisma_migrations WHERE migration_name = %s",
        "UPDATE _prisma_migrations SET finished_at = NULL WHERE migration_name = %s",
        "UPDATE _prisma_migrations SET rolled_back_at = now() WHERE migration_name = %s",
    ],
)
def test_a_migration_that_is_not_applied(client: TestClient, sql: psycopg.Connection, change: str) -> None:
    sql.execute(change, [LAST])
    assert not_ready(client) == f"This release needs migration {LAST}, which the database does not have."


def test_several_missing_migrations(client: TestClient, sql: psycopg.Connection) -> None:
    sql.execute("DELETE FROM _prisma_migrations")
    assert not_ready(client) == (
        "This release needs migration 20250728210351_init and 7 more, which the database does not have."
    )


def test_no_history(client: TestClient, sql: psycopg.Connection) -> None:
    sql.execute("DROP TABLE _prisma_migrations")
    assert not_ready(client) == "The database has no migration history."


def test_no_right_to_read_the_history(client: TestClient, sql: psycopg.Connection) -> None:
    sql.execute("REVOKE SELECT ON _prisma_migrations FROM app")
    assert not_ready(client) == "The application's role may not read the migration history."


def test_the_database_goes_away_and_comes_back(client: TestClient, server: Server) -> None:
    assert client.get("/api/v1/teams").status_code == 200
    server.stop()
    try:
        assert not_ready(client) == "The database cannot be reached."
        answer = client.get("/api/v1/teams")
        assert answer.status_code == 503
        assert answer.json() == {"detail": "The database cannot be reached; try again shortly."}
        assert client.get("/healthz").json() == {"status": "ok", "release": "r42"}
    finally:
        server.start()
    assert client.get("/readyz").status_code == 200
    assert client.get("/api/v1/teams").status_code == 200
