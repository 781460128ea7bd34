# SPDX-License-Identifier: GPL-3.0-or-later
"""What an interrupted attempt has left is cleared, completed, or told."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.leftovers import known
from ansible_collections.slipway.deploy.plugins.module_utils._migration.progress import Progress
from conftest import Postgres
from support.migrations import Bed, indexes, invalid

FINISHED = (True, False, 1, False)
ROLLED_BACK = (False, True, 0, True)


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    bed = Bed(postgres, postgres.database(), tmp_path)
    bed.write("0_t", "CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, 1), (2, 1)")
    bed.migrate()
    return bed


def interrupt(bed: Bed, name: str, done: int = 0, sql: str = "") -> None:
    """Leave the database as a process does that dies in the statement after ``done``, with ``sql`` for its work."""
    script = bed.payload().scripts[name]
    connection = bed.postgres.connect(bed.database)
    with connection.cursor() as cursor:
        progress = Progress.of(script, done, True, known(cursor, script.statements[done]))
        cursor.execute(
            "INSERT INTO _prisma_migrations (id, checksum, migration_name, logs)"
            " VALUES (gen_random_uuid(), '', %s, %s)",
            (name, progress.dump(len(script.statements))),
        )
    connection.close()
    if sql:
        bed.sql(sql)


def state(bed: Bed) -> list[tuple[object, ...]]:
    return [row[2:] for row in bed.rows()[1:]]


def test_a_build_that_meets_duplicates_leaves_nothing(bed: Bed) -> None:
    bed.write("1_i", "CREATE UNIQUE INDEX CONCURRENTLY i ON t (n)")
    assert "could not create unique index" in bed.fails()
    assert indexes(bed) == []
    assert state(bed) == [ROLLED_BACK]
    bed.sql("UPDATE t SET n = id")
    assert bed.migrate()["status"] == "up_to_date"
    assert indexes(bed) == [("i", True, True)]
    assert state(bed) == [ROLLED_BACK, FINISHED]


def test_the_invalid_rest_of_another_tools_attempt_is_rebuilt(bed: Bed) -> None:
    invalid(bed, "i")
    bed.write("1_i", "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (n)")
    assert bed.migrate()["status"] == "up_to_date"
    assert indexes(bed) == [("i", True, False)]


def test_an_index_that_is_there_is_an_error_as_ever(bed: Bed) -> None:
    bed.sql("CREATE INDEX i ON t (id)")
    bed.write("1_i", "CREATE INDEX CONCURRENTLY i ON t (n)")
    assert 'relation "i" already exists' in bed.fails()
    assert state(bed) == [ROLLED_BACK]


@pytest.mark.parametrize("name", ["i", ""])
@pytest.mark.parametrize("happened", ["nothing", "half", "all"])
def test_an_interrupted_build(bed: Bed, name: str, happened: str) -> None:
    bed.sql("CREATE INDEX other ON t (n)")
    invalid(bed, "broken", "id")
    bed.write("1_i", f"CREATE TABLE u (); CREATE INDEX CONCURRENTLY {name} ON t (n); CREATE TABLE v ()")
    interrupt(bed, "1_i", 1, f"CREATE TABLE u (); CREATE INDEX {name} ON t (n)")
    name = name or "t_n_idx"
    if happened == "half":
        bed.sql(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{name}'::regclass")
    if happened == "nothing":
        bed.sql(f"DROP INDEX {name}")
    assert bed.migrate()["status"] == "up_to_date"
    assert indexes(bed) == sorted([("broken", False, False), (name, True, False), ("other", True, False)])
    assert bed.tables() == ["t", "u", "v"]
    assert state(bed) == [FINISHED]


@pytest.mark.parametrize("done", [False, True])
def test_an_interrupted_drop(bed: Bed, done: bool) -> None:
    bed.sql("CREATE INDEX i ON t (n)")
    bed.write("1_i", "DROP INDEX CONCURRENTLY i")
    interrupt(bed, "1_i", sql="DROP INDEX i" if done else "")
    assert bed.migrate()["status"] == "up_to_date"
    assert indexes(bed) == []


def test_an_interrupted_reindex(bed: Bed) -> None:
    bed.sql("CREATE INDEX i ON t (n)")
    invalid(bed, "mine_ccnew")
    bed.write("1_i", "REINDEX TABLE CONCURRENTLY t")
    interrupt(bed, "1_i")
    invalid(bed, "i_ccnew")
    assert bed.migrate()["status"] == "up_to_date"
    assert [row[0] for row in indexes(bed)] == ["i", "mine_ccnew"]


@pytest.mark.parametrize("happened", ["nothing", "half", "all"])
def test_an_interrupted_detach(bed: Bed, happened: str) -> None:
    bed.sql("CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)")
    bed.write("1_p", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY")
    interrupt(bed, "1_p")
    if happened == "half":
        bed.sql("UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'p1'::regclass")
    if happened == "all":
        bed.sql("ALTER TABLE p DETACH PARTITION p1")
    assert bed.migrate()["status"] == "up_to_date"
    assert bed.sql("SELECT relispartition FROM pg_class WHERE relname = 'p1'") == [(False,)]
    assert state(bed) == [FINISHED]


def test_an_interrupted_procedure_is_not_repeated(bed: Bed) -> None:
    bed.sql("CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (3, 3); COMMIT; PERFORM 1/0; END'")
    bed.write("1_p", "SELECT 1;\nCALL p()")
    assert "division by zero" in bed.fails()
    message = bed.fails()
    assert message.startswith(
        "The migration '1_p' is half-applied: its statement at migrations/1_p/migration.sql:2:1 commits by itself and "
    )
    assert bed.sql("SELECT count(*) FROM t") == [(3,)]
