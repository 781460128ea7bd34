# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies beside a migration: checks that belong to it, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from conftest import Postgres
from support.migrations import Bed

FINISHED = (True, False, 1, False)
UNDONE = (False, True, 1, False)


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    bed = Bed(postgres, postgres.database(), tmp_path)
    bed.write("1_a", "CREATE TABLE a (id int PRIMARY KEY);")
    companion(bed, "1_a", "down", "DROP TABLE a;")
    bed.write("2_b", "CREATE TYPE e AS ENUM ('x'); ALTER TABLE a ADD COLUMN b e;")
    companion(bed, "2_b", "down", "ALTER TABLE a DROP COLUMN b; DROP TYPE e;")
    bed.write("3_c", "CREATE INDEX CONCURRENTLY c ON a (id);")
    companion(bed, "3_c", "down", "DROP INDEX c;")
    return bed


def companion(bed: Bed, name: str, stem: str, sql: str) -> None:
    (bed.directory / name / f"{stem}.sql").write_text(sql)


def catalogue(bed: Bed, file: Path) -> str:
    source = f"postgresql://postgres:{bed.postgres.password}@/{bed.database}?host={bed.postgres.socket_dir}"
    bed.postgres.run("pg_dump", "-s", "-f", str(file), "-d", source)
    return "".join(line for line in file.read_text().splitlines(True) if "restrict" not in line)


def states(bed: Bed) -> list[tuple[object, ...]]:
    return [(row[0], *row[2:]) for row in bed.rows()]


def refused(bed: Bed, *names: str) -> str:
    with pytest.raises(SlipwayError) as caught:
        bed.undo(*names)
    return str(caught.value)


def test_what_was_undone_before_a_failure_counts_as_changed(bed: Bed) -> None:
    bed.migrate()
    companion(bed, "2_b", "down", "SELECT 1 / 0;")
    with pytest.raises(SlipwayError) as caught:
        bed.undo("3_c", "2_b")
    assert caught.value.details["changed"] is True
    assert str(caught.value.details["actions"]).startswith("['Undid 3_c in ")
    with pytest.raises(SlipwayError) as caught:
        bed.undo("2_b")
    assert caught.value.details["changed"] is False


def test_up_down_up_leaves_the_same_catalogue(bed: Bed, tmp_path: Path) -> None:
    bed.migrate()
    before = catalogue(bed, tmp_path / "dump.sql")
    assert bed.undo(last=3, check=True) == ["Would undo 3_c.", "Would undo 2_b.", "Would undo 1_a."]
    assert catalogue(bed, tmp_path / "dump.sql") == before
    assert len(bed.undo(last=3)) == 3
    assert bed.tables() == []
    assert states(bed) == [("1_a", *UNDONE), ("2_b", *UNDONE), ("3_c", *UNDONE)]
    assert bed.survey().result()["rolled_back"] == ["1_a", "2_b", "3_c"]
    bed.migrate()
    assert catalogue(bed, tmp_path / "dump.sql") == before
    assert states(bed)[3:] == [("1_a", *FINISHED), ("2_b", *FINISHED), ("3_c", *FINISHED)]


def test_named_ones_are_undone_once(bed: Bed) -> None:
    bed.migrate()
    assert [action.split()[1] for action in bed.undo("2_b", "3_c")] == ["3_c", "2_b"]
    assert bed.undo("2_b", "3_c") == bed.undo("3_c", check=True) == []
    assert bed.survey().applied == ("1_a",)


def test_a_failing_way_back_leaves_the_migration_applied(bed: Bed) -> None:
    companion(bed, "2_b", "down", "ALTER TABLE a DROP COLUMN b;\nDROP TYPE nope;")
    bed.migrate()
    message = refused(bed, "2_b")
    assert message.startswith("Undoing '2_b' failed at migrations/2_b/down.sql:2:1: type \"nope\" does not exist")
    assert bed.sql("SELECT b FROM a") == []
    assert bed.survey().status == "up_to_date"


def test_what_can_not_be_undone(bed: Bed) -> None:
    bed.migrate()
    assert refused(bed, "9_x") == "There is no migration '9_x' to undo: check its name."
    (bed.directory / "1_a" / "down.sql").unlink()
    assert refused(bed, "1_a", "3_c").startswith("The migration '1_a' has no down.sql in its directory")
    companion(bed, "1_a", "down", "VACUUM")
    assert refused(bed, "1_a").startswith("migrations/1_a/down.sql:1:1: this can't be part of the transaction that")
    bed.write("3_c", "CREATE INDEX c ON a (id);")
    assert refused(bed, "3_c").startswith("The migration '3_c' was edited after it was applied")
    assert bed.survey().applied == ("1_a", "2_b", "3_c")


@pytest.mark.parametrize("sql", ["SELECT true;\nSELECT count(*) = 1 FROM a", "SELECT true;\nSELECT 1/0"])
def test_a_failing_verification_undoes_the_migration(bed: Bed, sql: str) -> None:
    companion(bed, "2_b", "verify", sql)
    assert bed.fails().startswith("Migration '2_b' failed at migrations/2_b/verify.sql:2:1: ")
    assert [row[0] for row in states(bed)] == ["1_a", "2_b"]
    assert bed.sql("SELECT to_regtype('e')") == [(None,)]
    companion(bed, "2_b", "verify", "SELECT count(*) = 0 FROM a; SELECT id FROM a; SELECT 'x'::e")
    assert bed.migrate()["status"] == "up_to_date"


def test_verification_after_a_statement_outside_a_transaction(bed: Bed) -> None:
    companion(bed, "3_c", "verify", "SELECT false")
    message = bed.fails()
    assert "migrations/3_c/verify.sql:1:1: the check says false" in message
    assert "Its first statement is kept" in message
    companion(bed, "3_c", "verify", "SELECT true")
    assert bed.migrate()["status"] == "up_to_date"
    assert states(bed)[2] == ("3_c", *FINISHED)


def test_a_verification_that_is_not_sql(bed: Bed) -> None:
    companion(bed, "1_a", "verify", "SELEC 1")
    assert bed.fails().startswith("migrations/1_a/verify.sql:1:1: syntax error")
