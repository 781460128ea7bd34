# SPDX-License-Identifier: GPL-3.0-or-later
"""From a change of the models to a migration that is applied, and straight into the database."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.conftest import directory
from support.environment import Environment

MODELS = "backend/src/autotest/models.py"
PASSWORDS = {
    f"database_{role}_password": f"{role}-of-a-test-0123456789"
    for role in ("superuser", "owner", "application", "readonly")
}


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    """Never deployed: the first migration is made before there is a database."""
    made = Environment(directory())
    yield made
    made.play("playbooks/teardown.yml").succeeded()
    shutil.rmtree(made.directory)


def add_column(environment: Environment, name: str) -> None:
    models = environment.application / MODELS
    text = models.read_text()
    added = "    password_hash: Mapped[str]\n"
    models.write_text(text.replace(added, f"{added}    {name}: Mapped[str | None]\n", 1))


def written(environment: Environment) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(environment.migrations.rglob("*.sql"))}


def test_the_next_migration(environment: Environment) -> None:
    add_column(environment, "nickname")
    before = written(environment)
    refused = environment.play("playbooks/new_migration.yml", name="'add nickname'").failed()
    assert "The name 'add nickname' can't be a migration's: use letters, digits, _ and - alone" in refused.output
    made = environment.play("playbooks/new_migration.yml", name="add_nickname").succeeded()
    [file, down] = sorted(set(written(environment)) - set(before), reverse=True)
    name = Path(file).parent.name
    assert re.fullmatch(r"\d{14}_add_nickname", name)
    assert Path(file).read_text().endswith("\n\nALTER TABLE public.users ADD COLUMN nickname text;\n")
    assert Path(down).read_text() == "ALTER TABLE public.users DROP COLUMN nickname;\n"
    assert "+ALTER TABLE public.users ADD COLUMN nickname text;" in made.output
    assert environment.history()[-1] == name
    assert len(environment.history()) == 9  # with those that were pending
    assert environment.sql("SELECT nickname FROM users") == []

    again = environment.play("playbooks/new_migration.yml", name="another").succeeded()
    assert again.recap["changed"] == 0, again.output
    assert "none is needed: the migrations make what autotest.models:Base" in again.output
    assert set(written(environment)) == {*before, file, down}


def test_a_push_and_the_migration_of_it(environment: Environment) -> None:
    add_column(environment, "motto")
    before, history, dump = written(environment), environment.history(), environment.schema()
    for verb in ("db_push", "new_migration"):
        checked = environment.play(f"playbooks/{verb}.yml", "--check", name="add_motto").succeeded()
        assert "ALTER TABLE public.users ADD COLUMN motto text;" in checked.output
        assert (written(environment), environment.history(), environment.schema()) == (before, history, dump)
        assert environment.databases() <= {"autotest", "postgres", "template0", "template1"}
    environment.play("playbooks/db_push.yml").succeeded()
    assert environment.sql("SELECT motto FROM users") == []
    assert environment.history() == history
    assert environment.backups()[-1]["proved"]
    assert environment.play("playbooks/db_push.yml").succeeded().recap["changed"] == 0

    environment.play("playbooks/new_migration.yml", name="add_motto").succeeded()
    assert environment.history()[-1].endswith("_add_motto")
    environment.play("playbooks/drift.yml").succeeded()


def test_a_push_that_loses_data_is_refused(environment: Environment) -> None:
    environment.sql("INSERT INTO users (email, name, password_hash, motto) VALUES ('a@b.c', 'a', 'x', 'carpe diem')")
    models = environment.application / MODELS
    models.write_text(models.read_text().replace("    motto: Mapped[str | None]\n", ""))
    refused = environment.play("playbooks/db_push.yml").failed()
    assert "This loses data, so that nothing was changed: it drops the column public.users.motto." in refused.output
    assert environment.sql("SELECT motto FROM users") == [("carpe diem",)]
    environment.play("playbooks/db_push.yml", accept_data_loss=True).succeeded()
    assert "motto" not in environment.schema()


@pytest.mark.parametrize(
    ("verb", "elsewhere", "said"),
    [
        (
            "new_migration",
            "prod",
            "Migrations are made in local and deployed elsewhere, so that nothing was done in prod:",
        ),
        ("db_push", "prod", "db_push changes a database without a migration, which nobody could repeat or undo"),
    ],
)
def test_it_is_refused_elsewhere(environment: Environment, verb: str, elsewhere: str, said: str) -> None:
    files = environment.files()
    refused = environment.play(f"playbooks/{verb}.yml", environment_name=elsewhere, name="add_x", **PASSWORDS).failed()
    assert said in refused.output
    assert environment.files() == files
