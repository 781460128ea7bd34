# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against a real server: what it writes, what it leaves when it fails, whom it waits for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import Comparison, record
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY
from ansible_collections.slipway.deploy.plugins.module_utils._migration.preview import preview
from support.migrations import Bed, denied


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_four_runs(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int);\n")
    bed.write("2_b", "CREATE TABLE b (id int); CREATE INDEX b_id ON b (id);\n")
    assert bed.survey().result()["pending"] == ["1_a", "2_b"]
    assert bed.sql("SELECT to_regclass('_prisma_migrations')") == [(None,)]

    state = bed.migrate()
    assert (state["status"], state["applied"], state["pending"]) == ("up_to_date", ["1_a", "2_b"], [])
    assert [(each["name"], each["statements"]) for each in state["applied_now"]] == [("1_a", 1), ("2_b", 2)]
    assert bed.tables() == ["a", "b"]
    rows = bed.rows()
    assert rows[0] == ("1_a", sha256("CREATE TABLE a (id int);\n"), True, False, 1, False)
    assert len(rows) == 2

    assert bed.survey().status == "up_to_date"
    again = bed.migrate()
    assert (again["status"], again["applied_now"]) == ("up_to_date", [])
    assert bed.rows() == rows


def test_another_schema(bed: Bed) -> None:
    bed.schema = 'My "own" schema'
    bed.write("1_a", "CREATE TABLE a (id int)")
    bed.migrate()
    found = bed.sql("SELECT relname FROM pg_class WHERE relnamespace::regnamespace::text LIKE '%My%' AND relkind = 'r'")
    assert sorted(found) == [("_prisma_migrations",), ("a",)]


def test_a_failing_statement(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int)")
    bed.migrate()
    before = bed.sql("SELECT count(*) FROM pg_class")
    bed.write("2_b", "-- ünïcödé 🙂\nCREATE TABLE b (id int);\n\tINSERT INTO a\n\tSELECT nope FROM b;\n")
    bed.write("3_c", "CREATE TABLE c ()")
    assert bed.fails() == (
        "Migration '2_b' failed at migrations/2_b/migration.sql:4:9: column \"nope\" does not exist (SQLSTATE 42703)\n"
        "4 | \tSELECT nope FROM b;\n"
        "  | \t       ^\n"
        "Nothing of this migration was kept: correct the file, or the data, and run again."
    )
    assert bed.tables() == ["a"]
    assert bed.sql("SELECT count(*) FROM pg_class") == before
    assert [row[0:1] + row[2:] for row in bed.rows()] == [("1_a", True, False, 1, False), ("2_b", False, True, 0, True)]

    bed.write("2_b", "CREATE TABLE b (id int)")
    plan = bed.survey()
    assert (plan.status, plan.rolled_back) == ("pending", ("2_b",))
    assert bed.migrate()["status"] == "up_to_date"
    assert bed.tables() == ["a", "b", "c"]


def test_a_deferred_constraint_fails_at_the_end(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1), (1)")
    assert "migrations/1_a/migration.sql, at its end: duplicate key" in bed.fails()
    assert bed.tables() == []


def test_edited_and_missing_stop_before_anything_is_written(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    gone = bed.write("2_b", "CREATE TABLE b ()")
    bed.migrate()
    bed.write("1_a", "CREATE TABLE a (id int)")
    gone.unlink()
    gone.parent.rmdir()
    bed.write("3_c", "CREATE TABLE c ()")
    message = bed.fails()
    assert "The migration '1_a' was edited after it was applied (its checksum was " in message
    assert "The migration '2_b' was applied at " in message
    assert bed.tables() == ["a", "b"]
    state = bed.survey().result()
    assert (state["status"], state["edited"], state["missing"], state["pending"]) == (
        "edited",
        ["1_a"],
        ["2_b"],
        ["3_c"],
    )


def test_prismas_failed_row_stops(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    bed.migrate()
    bed.sql("UPDATE _prisma_migrations SET finished_at = NULL, applied_steps_count = 0, logs = 'boom'")
    assert "The migration '1_a' was started at " in bed.fails()
    assert bed.survey().status == "failed"


def test_one_that_is_under_way_is_no_failure(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    bed.migrate()
    bed.sql("UPDATE _prisma_migrations SET finished_at = NULL, applied_steps_count = 0")
    prisma = bed.postgres.connect(bed.database)
    with prisma.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (PRISMA_KEY,))
    (finding,) = bed.survey().findings
    assert "and is not finished, and a migration run is under way: process " in finding.text
    prisma.close()


def test_the_error_within_a_files_own_transaction_is_told(bed: Bed) -> None:
    bed.write("1_a", "BEGIN;\nCREATE TABLE a ();\nSELECT nope();\nCREATE TABLE b ();\nCOMMIT;")
    assert "migration.sql:3:8: function nope() does not exist (SQLSTATE 42883)" in bed.fails()
    assert bed.tables() == []


def test_tables_without_a_history_stop(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    bed.sql("CREATE VIEW v AS SELECT 1; CREATE TYPE e AS ENUM (); CREATE SEQUENCE s")
    assert bed.survey().status == "pending"
    bed.sql("CREATE UNLOGGED TABLE t ()")
    assert bed.fails().startswith("The database holds 1 table but no history of migrations")
    assert bed.survey().status == "unmanaged"
    assert bed.sql("SELECT to_regclass('_prisma_migrations')") == [(None,)]


def test_a_problem_in_a_file_matters_only_while_it_is_pending(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    bed.write("2_b", "CREATE TABEL b ()")
    assert bed.fails().startswith(
        'migrations/2_b/migration.sql:1:8: syntax error at or near "TABEL"\n1 | CREATE TABEL b ()\n'
    )
    assert bed.tables() == []
    bed.sql("CREATE TABLE IF NOT EXISTS public._prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64), "
            "finished_at timestamptz, migration_name varchar(255), logs text, rolled_back_at timestamptz, "
            "started_at timestamptz DEFAULT now(), applied_steps_count int DEFAULT 0)")  # fmt: skip
    bed.sql(f"INSERT INTO _prisma_migrations VALUES ('x', '{sha256('CREATE TABEL b ()')}', now(), '2_b')")
    assert bed.migrate()["status"] == "up_to_date"


def test_concurrent_index_beside_other_statements(bed: Bed) -> None:
    bed.write(
        "1_a", "CREATE TABLE a (id int); INSERT INTO a VALUES (1);\nCREATE INDEX CONCURRENTLY i ON a (id); SELECT 1"
    )
    assert bed.migrate()["status"] == "up_to_date"
    assert bed.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == [(True,)]
    assert bed.rows()[0][2:] == (True, False, 1, False)


def test_a_migration_outside_a_transaction_goes_on_where_it_stopped(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int); VACUUM a; SELECT 1/0;")
    assert "Its first 2 statements are kept" in bed.fails()
    assert bed.tables() == ["a"]
    assert bed.rows()[0][2:] == (False, False, 0, True)
    bed.write("1_a", "CREATE TABLE a (id int); VACUUM a; SELECT 1;")
    assert bed.survey().status == "pending"
    assert bed.migrate()["applied_now"][0]["statements"] == 1
    assert bed.rows() == [("1_a", sha256("CREATE TABLE a (id int); VACUUM a; SELECT 1;"), True, False, 1, False)]


def test_an_edit_of_what_is_half_applied_stops(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int); VACUUM a; SELECT 1/0;")
    bed.fails()
    bed.write("1_a", "CREATE TABLE a (id bigint); VACUUM a; SELECT 1;")
    assert bed.fails().startswith("The migration '1_a' is half-applied and the first 2 statements of migrations/1_a/")


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TYPE e AS ENUM ('a'); COMMIT; ALTER TYPE e ADD VALUE 'b'; CREATE TABLE t (x e DEFAULT 'b')",
        "CREATE TABLE t (); DO $$ BEGIN PERFORM 1; COMMIT; END $$;",
        "CREATE TABLE t (); CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'; CALL p();",
        "BEGIN; CREATE TABLE t (); COMMIT; BEGIN; SELECT 1; COMMIT",
        "BEGIN ISOLATION LEVEL SERIALIZABLE; CREATE TABLE t (); COMMIT;",
        "BEGIN; CREATE TABLE u (); ROLLBACK; CREATE TABLE t ()",
        "CREATE TABLE t (); SAVEPOINT a; CREATE TABLE u (); ROLLBACK TO SAVEPOINT a;",
        "CREATE TABLE t (id int) PARTITION BY LIST (id); CREATE TABLE p PARTITION OF t DEFAULT; REINDEX TABLE t",
    ],
)
def test_own_transactions_and_what_the_server_refuses_in_one(bed: Bed, sql: str) -> None:
    bed.write("1_a", sql)
    assert bed.migrate()["status"] == "up_to_date"
    assert bed.sql("SELECT to_regclass('t') IS NOT NULL, to_regclass('u')") == [(True, None)]
    assert [row[2:] for row in bed.rows()] == [(True, False, 1, False)]


def test_a_lost_connection(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (); SELECT pg_terminate_backend(pg_backend_pid())")
    message = bed.fails()
    assert "The connection is lost: run again" in message
    assert bed.tables() == []
    bed.write("1_a", "CREATE TABLE a ()")
    assert bed.migrate()["status"] == "up_to_date"


CHECKS: dict[str, Callable[[Bed], object]] = {
    "status": lambda bed: bed.survey(),
    "migrations": lambda bed: preview(bed.server, bed.files()),
    "resolve": lambda bed: bed.resolve("applied", "2_b", check=True),
    "undo": lambda bed: bed.undo("1_a", check=True),
    "record": lambda bed: record(bed.server, "public", check=True),
    "compare": lambda bed: Comparison(bed.server, bed.server, may_write=False).differences(bed.files(), "auto"),
}


@pytest.mark.parametrize("check", CHECKS)
def test_check_mode_writes_nothing(bed: Bed, check: str) -> None:
    bed.write("1_a", "CREATE TABLE a ()").with_name("down.sql").write_text("DROP TABLE a")
    bed.migrate()
    record(bed.server, "public", check=False)
    bed.write("2_b", "CREATE TABLE b ()")

    def log() -> list[tuple[object, ...]]:
        return bed.sql("SELECT pg_current_wal_insert_lsn(), pg_snapshot_xmax(pg_current_snapshot())")

    def writes() -> bool:
        before = log()
        CHECKS[check](bed)
        return log() != before

    # The server itself writes now and then; what a check writes, it writes every time.
    assert not all(writes() for _ in range(5))


def test_check_mode_needs_no_history(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    assert preview(bed.server, bed.files()).actions == ["Would apply 1_a."]
    assert bed.sql("SELECT to_regclass('_prisma_migrations') IS NULL AND to_regnamespace('slipway') IS NULL") == [
        (True,)
    ]


ADVICE = (
    "\nTo go on all the same, set policy: {destructive: warn}, or add to waivers for one migration: "
    "{migration: NAME, rule: destructive, reason: WHY, author: WHO}."
)
DESTRUCTIVE = [
    ("DROP TABLE t", 'drops the table "t"'),
    ("DROP TABLE IF EXISTS none, public.t", 'drops the table "public"."t"'),
    ("DROP SCHEMA s CASCADE", 'drops the schema "s"'),
    ("ALTER TABLE t DROP COLUMN n", 'drops the column "t"."n"'),
    ("TRUNCATE t", 'empties the table "t"'),
    ("DELETE FROM t", 'empties the table "t"'),
    ("ALTER TABLE t ALTER n TYPE bigint", 'rewrites the table "t" to give the column "n" the type bigint'),
    ("ALTER TABLE t ALTER v TYPE varchar(5)", 'rewrites the table "t" to give the column "v" the type varchar(5)'),
]
HARMLESS = [
    "CREATE TABLE u (id int); DROP TABLE u",
    "DROP TABLE IF EXISTS none",
    "DELETE FROM t WHERE n = 1",
    "ALTER TABLE t ALTER v TYPE varchar(20)",
    "ALTER TABLE t ALTER v TYPE text",
    "ALTER TABLE t ALTER d TYPE numeric(12, 2)",
    "DROP INDEX IF EXISTS i",
]


@pytest.mark.parametrize(("sql", "what"), DESTRUCTIVE)
def test_destructive_ones_are_found_and_denied(filled: Bed, sql: str, what: str) -> None:
    filled.write("2_d", f"SELECT 1;\n  {sql}")
    denied(filled, "destructive")
    assert filled.fails() == f"The migration '2_d' {what} (migrations/2_d/migration.sql:2:3).{ADVICE}"
    denied(filled, "destructive", choice="warn")
    outcome = filled.outcome(filled.files())
    assert len(outcome.warnings) == len(outcome.actions) == 1


@pytest.mark.parametrize("sql", HARMLESS)
def test_harmless_ones_are_not(filled: Bed, sql: str) -> None:
    filled.write("2_d", sql)
    assert filled.survey().result()["destructive"] == []
    file = "SELECT pg_relation_filenode('t')"
    before = filled.sql(file)
    filled.migrate()
    assert filled.sql(file) == before


def test_out_of_order(filled: Bed) -> None:
    filled.write("0_a", "CREATE TABLE a ()")
    denied(filled, "out_of_order")
    assert filled.fails().startswith("The migration '0_a' is pending but comes before '1_t', which is applied")
    denied(filled, "out_of_order", choice="allow")
    assert filled.outcome(filled.files()).warnings == []
    assert filled.tables() == ["a", "t"]


def test_an_older_release_on_a_newer_database(filled: Bed) -> None:
    gone = filled.write("2_b", "CREATE TABLE b ()")
    filled.migrate()
    gone.unlink()
    gone.parent.rmdir()
    assert filled.survey().status == "ahead"
    denied(filled, "ahead", choice="warn")
    assert filled.outcome(filled.files()).actions == []
