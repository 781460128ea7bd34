# SPDX-License-Identifier: GPL-3.0-or-later
"""From a change of the models to a migration that is applied, and straight into the database."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import stem
from conftest import Postgres
from e2e.conftest import directory
from support import prisma
from support.environment import Environment, Outcome
from support.wanted_changes import PRISMA, SQL

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


@pytest.mark.soak
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
    if "motto" not in environment.schema():
        add_column(environment, "motto")
        environment.play("playbooks/db_push.yml").succeeded()
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


@pytest.mark.soak
def test_files_alone(environment: Environment) -> None:
    """An empty one to write by hand, and one that waits for the next deploy."""
    environment.play("playbooks/new_migration.yml", name="drop_motto").succeeded()
    assert environment.history()[-1].endswith("_drop_motto")
    before, history = written(environment), environment.history()
    for number, more in enumerate(({"empty": True}, {"apply": False})):
        if "apply" in more:
            add_column(environment, "waits")
        made = environment.play("playbooks/new_migration.yml", name=f"by_hand_{number}", **more).succeeded()
        assert f"_by_hand_{number}" in made.output
    files = set(written(environment)) - set(before)
    [empty, waiting] = sorted(Path(file) for file in files if file.endswith("/migration.sql"))
    statements = [line for line in empty.read_text().splitlines() if line.strip() and not line.startswith("--")]
    assert statements == []
    assert "ADD COLUMN waits text;" in waiting.read_text()
    assert (environment.history(), "waits" in environment.schema()) == (history, False)
    assert environment.play("playbooks/migrate.yml").succeeded().recap["changed"] > 0
    assert environment.history() == [*history, empty.parent.name, waiting.parent.name]


@pytest.mark.parametrize("verb", ["new_migration", "db_push"])
def test_models_that_do_not_import(environment: Environment, verb: str) -> None:
    models = environment.application / MODELS
    text, before, files = models.read_text(), written(environment), environment.files()
    models.write_text(f"{text}\nimport nothing_like_it\n")
    failed = environment.play(f"playbooks/{verb}.yml", name="broken").failed()
    models.write_text(text)
    assert "No module named 'nothing_like_it'" in " ".join(failed.messages[0].split())
    assert "Traceback" not in failed.output
    pages = [f"runs/{stem(record)}.{kind}" for record in environment.records() for kind in ("json", "html")]
    noted = dict.fromkeys(("deployments.jsonl", "fence", *pages), ())
    assert (written(environment), {**environment.files(), **noted}) == (before, {**files, **noted})


@pytest.mark.soak
def test_prismas_own_schema_is_the_wish(postgres: Postgres, prisma_directory: Path) -> None:
    site = Environment(directory())
    shutil.rmtree(site.migrations)
    site.migrations.mkdir()
    site.add_migration("20260101000000_init", SQL)
    for name in ("node_modules", "prisma.config.ts", "unref.cjs"):
        (site.application / name).symlink_to(prisma_directory / name)
    schema = site.application / "schema.prisma"
    # Its JavaScript driver connects to some server before anything else.
    settings = {
        "PGHOST": str(postgres.socket_dir), "PGPORT": str(postgres.port), "PGUSER": postgres.user,
        "PGPASSWORD": postgres.password, "PGDATABASE": "postgres",
    }  # fmt: skip
    environ = prisma.environment(site.migrations, settings)
    wish = ("-e", '{"app_schema": {"prisma": "schema.prisma"}, "seeding": false, "app_tables": []}')

    def new_migration(name: str) -> Outcome:
        return site.play("playbooks/new_migration.yml", *wish, environ=environ, name=name)

    try:
        schema.write_text(PRISMA.replace("email   String", "email   Strin"))
        said = " ".join(new_migration("wrong").failed().output.split())
        assert 'Type "Strin" is neither a built-in type, nor refers to another model' in said, said
        assert len(list(site.migrations.iterdir())) == 1
        schema.write_text(PRISMA.replace("email   String", "motto   String?\n  email   String"))
        new_migration("motto").succeeded()
        assert site.history()[-1].endswith("_motto")
        assert site.sql("SELECT motto FROM users") == []
        assert site.sql("SELECT count(*) FROM members") == [(0,)]  # which Prisma's language can't say
        assert new_migration("again").succeeded().recap["changed"] == 0
    finally:
        site.play("playbooks/teardown.yml").succeeded()
        shutil.rmtree(site.directory)
