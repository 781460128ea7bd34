# SPDX-License-Identifier: GPL-3.0-or-later
"""A database on a server of somebody else goes over to Slipway, with a history of Prisma's or without one, and back."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Postgres
from support import prisma
from support.environment import Environment, Outcome

PASSWORD = "the-old-role's"
Site = tuple[Environment, dict[str, object]]


@pytest.fixture
def site(postgres: Postgres) -> Iterator[Site]:
    """An environment for a database on a server of somebody else, whose owner is the application's old role."""
    environment = Environment(Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir="/tmp")))
    name = f"{postgres.database()}_old"
    postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD %s", parameters=[PASSWORD])
    postgres.execute(f"CREATE DATABASE {name} OWNER {name}")
    first = sorted(environment.migrations.iterdir())[0]
    opened = postgres.connect(name, name, PASSWORD)
    with opened.cursor() as cursor:
        cursor.execute((first / "migration.sql").read_text())
        cursor.execute("INSERT INTO teams (name, slug) VALUES ('By hand', 'by-hand')")
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


def play(site: Site, postgres: Postgres, playbook: str, *arguments: str, **more: object) -> Outcome:
    """Run a playbook with the programs of the server's own version."""
    environment, variables = site
    programs = {"PATH": f"{postgres.bindir}:{os.environ['PATH']}"}
    return environment.play(playbook, *arguments, environ=programs, **variables, **more)


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


def test_what_can_be_known_before_the_first_deploy(site: Site, postgres: Postgres) -> None:
    name = site[1]["database_name"]
    before = catalogue(postgres, name)
    status = play(site, postgres, "playbooks/status.yml").failed()
    assert "pending: 20250729072120_add_workflow_run_id_unique" in status.messages[-1]
    assert f"log in to database {name} yet, so it was read as role postgres" in " ".join(status.output.split())
    checked = play(site, postgres, "deploy.yml", "--check").succeeded()
    assert "would be applied: 20250729072120_add_workflow_run_id_unique" in " ".join(checked.output.split())
    migrate = play(site, postgres, "playbooks/migrate.yml").failed()
    assert "does not hold the database's passwords: deploy first" in migrate.messages[0]
    assert catalogue(postgres, name) == before


@pytest.mark.soak
def test_tables_without_a_history_go_over_and_back_to_prisma(
    site: Site, postgres: Postgres, prisma_directory: Path
) -> None:
    environment, variables = site
    name = str(variables["database_name"])
    files = sorted(path.name for path in environment.migrations.iterdir() if path.is_dir())
    postgres.execute("DROP TABLE _prisma_migrations", name)
    rows = "SELECT name FROM teams"
    history = "SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL ORDER BY 1"
    variables["seeding"] = "false"

    stopped = play(site, postgres, "deploy.yml").failed()
    said = " ".join(stopped.output.split())
    assert "no history of migrations: it was not made by these migrations." in said, stopped.output
    assert postgres.execute("SELECT to_regclass('_prisma_migrations') IS NULL", name) == [(True,)]
    play(site, postgres, "playbooks/resolve.yml", names=files[0], state="applied", reason="baseline").succeeded()
    play(site, postgres, "deploy.yml").succeeded()
    assert [row for (row,) in postgres.execute(history, name)] == files
    assert postgres.execute(rows, name) == [("By hand",)]
    assert environment.json("/readyz")["status"] == "ready"
    play(site, postgres, "deploy.yml").succeeded()  # which takes the old role's rights away
    assert play(site, postgres, "deploy.yml").succeeded().recap["changed"] == 0
    play(site, postgres, "playbooks/drift.yml").succeeded()

    # And back: the old role owns what it owned, and Prisma goes on with its own history.
    play(site, postgres, "playbooks/teardown.yml").succeeded()
    postgres.execute(f"REASSIGN OWNED BY {name}_owner TO {name}", name)
    settings = {
        "PGHOST": str(postgres.socket_dir), "PGPORT": str(postgres.port), "PGUSER": name, "PGPASSWORD": PASSWORD,
        "PGDATABASE": name,
    }  # fmt: skip
    environ = prisma.environment(environment.migrations, settings)
    code, said = prisma.migrate(prisma_directory, environ, "status")
    assert (code, "Database schema is up to date!" in said) == (0, True), said
    environment.add_migration("20260101000000_motto", "ALTER TABLE teams ADD COLUMN motto text;\n")
    code, said = prisma.migrate(prisma_directory, environ, "deploy")
    assert code == 0, said
    assert postgres.execute("SELECT name, motto FROM teams", name) == [("By hand", None)]
    assert [row for (row,) in postgres.execute(history, name)] == [*files, "20260101000000_motto"]
