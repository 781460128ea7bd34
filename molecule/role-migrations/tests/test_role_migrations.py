# SPDX-License-Identifier: GPL-3.0-or-later
"""Two migrations, rehearsed and applied by role migrations alone: seen by SQL."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from support.role import STATE, databases, refused, schema, sql

MIGRATIONS = STATE / "migrations"


def seen() -> tuple[object, ...]:
    """What a run that is refused leaves as it was."""
    return sql("SELECT * FROM _prisma_migrations ORDER BY id"), schema(), databases()


def test_the_history_is_prismas() -> None:
    rows = sql("SELECT migration_name, checksum FROM _prisma_migrations WHERE finished_at IS NOT NULL ORDER BY 1")
    assert rows == [
        (path.parent.name, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(MIGRATIONS.glob("*/migration.sql"))
    ]


def test_the_table_is_as_they_make_it() -> None:
    assert [column for table, column in schema() if table == "builds"] == ["id", "number", "status"]
    assert sql("SELECT tableowner FROM pg_tables WHERE tablename = 'builds'") == [("shop_owner",)]


def test_the_copy_is_gone() -> None:
    assert databases() == ["postgres", "shop", "template0", "template1"]


def another(tmp_path: Path, content: str, name: str = "20250103000000_more") -> str:
    """A directory with a migration more."""
    shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    (tmp_path / "migrations" / name).mkdir(exist_ok=True)
    (tmp_path / "migrations" / name / "migration.sql").write_text(content)
    return str(tmp_path / "migrations")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("20250103000000_more", "ALTER TABLE nowhere ADD COLUMN x int;", 'relation "nowhere" does not exist'),
        ("20250103000000_more", "CREATE TABEL t (x int);", "syntax error"),
        ("20250101000000_builds", "CREATE TABLE builds (id int);", "20250101000000_builds"),
    ],
)
def test_a_file_that_can_t_be_applied_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    before = seen()
    assert said in refused(migrations_path=another(tmp_path, content, name))
    assert seen() == before


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"migrations_rehearsal_database": "", "backup_keep_scratch": False},
            "There is no copy of the database to rehearse on, so nothing was applied",
        ),
        ({"migrations_backup_directory": str(STATE / "empty")}, "has no proved backup of this run in"),
        ({"migrations_policy": {"lint": "never"}}, "never"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_applied(tmp_path: Path, variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(migrations_path=another(tmp_path, "CREATE TABLE t (x int);"), **variables)
    assert seen() == before


def test_a_directory_that_is_not_there() -> None:
    before = seen()
    assert "/no/such" in refused(migrations_path="/no/such")
    assert seen() == before
