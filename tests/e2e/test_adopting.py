# SPDX-License-Identifier: GPL-3.0-or-later
"""The first look at a database that Prisma made, before Slipway has any role in it: nothing is written."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Postgres
from support.environment import Environment, Outcome

PASSWORD = "the-old-role's"


@pytest.fixture
def site(postgres: Postgres) -> Iterator[tuple[Environment, dict[str, object]]]:
    """An environment for a database on a server of somebody else, whose owner is the application's old role."""
    environment = Environment(Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir="/tmp")))
    name = f"{postgres.database()}_old"
    postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD %s", parameters=[PASSWORD])
    postgres.execute(f"CREATE DATABASE {name} OWNER {name}")
    first = sorted(environment.migrations.iterdir())[0]
    opened = postgres.connect(name, name, PASSWORD)
    with opened.cursor() as cursor:
        cursor.execute((first / "migration.sql").read_text())
        cursor.execute(
            "CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at"
            " timestamptz, migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz, started_at"
            " timestamptz NOT NULL DEFAULT now(), applied_steps_count int NOT NULL DEFAULT 0)"
        )
        cursor.execute(
            "INSERT INTO _prisma_migrations VALUES ('1', %s, now(), %s, NULL, NULL, now(), 1)",
            [hashlib.sha256((first / "migration.sql").read_bytes()).hexdigest(), first.name],
        )
    opened.close()
    yield (
        environment,
        {
            "database_runtime": "external",
            "database_host": postgres.socket_dir,
            "database_superuser_password": postgres.password,
            "database_name": name,
        },
    )
    shutil.rmtree(environment.directory)


def catalogue(postgres: Postgres, database: object) -> list[tuple[object, ...]]:
    return postgres.execute(
        """
        SELECT relname, relowner::regrole::text, relacl::text FROM pg_class
         WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT rolname, '', '' FROM pg_roles
        UNION ALL SELECT datname, datdba::regrole::text, datacl::text FROM pg_database ORDER BY 1, 2, 3
        """,
        str(database),
    )


def test_what_can_be_known_before_the_first_deploy(
    site: tuple[Environment, dict[str, object]], postgres: Postgres
) -> None:
    environment, variables = site
    name = variables["database_name"]
    before = catalogue(postgres, name)

    def play(playbook: str, *arguments: str) -> Outcome:
        programs = f"{postgres.bindir}:{os.environ['PATH']}"  # of the server's own version
        return environment.play(playbook, *arguments, environ={"PATH": programs}, **variables)

    status = play("playbooks/status.yml").failed()
    assert "pending: 20250729072120_add_workflow_run_id_unique" in status.messages[-1]
    assert f"log in to database {name} yet, so it was read as role postgres" in " ".join(status.output.split())
    checked = play("deploy.yml", "--check").succeeded()
    assert "would be applied: 20250729072120_add_workflow_run_id_unique" in " ".join(checked.output.split())
    migrate = play("playbooks/migrate.yml").failed()
    assert "does not hold the database's passwords: deploy first" in migrate.messages[0]
    assert catalogue(postgres, name) == before
