# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration that role schema alone has derived: seen in its file; the database is as before."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.role import SCENARIO, STATE, databases, files, refused, schema

MIGRATIONS = STATE / "migrations"


def seen() -> tuple[object, ...]:
    """What a run that is refused leaves as it was."""
    return files(MIGRATIONS), schema(), databases()


def test_there_is_one_migration_more() -> None:
    [written] = MIGRATIONS.glob("*_add_owner/migration.sql")
    assert 'ADD COLUMN "owner" text' in written.read_text() or "ADD COLUMN owner text" in written.read_text()
    assert (written.parent / "down.sql").is_file()


def test_the_database_is_as_before() -> None:
    assert [column for table, column in schema() if table == "builds"] == ["id", "number", "status"]
    assert databases() == ["postgres", "shop", "template0", "template1"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"schema_source": {"sql": "nowhere.sql"}}, "nowhere.sql"),
        ({"schema_directory": "/no/such"}, "/no/such"),
        ({"schema_base": "models"}, "value of schema_base must be one of: migrations, database, got: models"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("add_more", "CREATE TABLE builds (id int", "syntax error"),
        ("Add more!", "", "Add more!"),
    ],
)
def test_a_wanted_schema_or_a_name_that_is_wrong(tmp_path: Path, name: str, content: str, said: str) -> None:
    wanted = tmp_path / "schema.sql"
    wanted.write_text(content or (SCENARIO / "schema.sql").read_text().replace("owner text", "owner text, more text"))
    before = seen()
    assert said in refused(schema_name=name, schema_directory=str(tmp_path))
    assert seen() == before
