# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine against a real server: what it writes, what it leaves when it fails, whom it waits for."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import Comparison, record
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy, Waiver
from ansible_collections.slipway.deploy.plugins.module_utils._migration.preview import preview
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from conftest import Postgres
from support.migrations import Bed


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    return Bed(postgres, postgres.database(), tmp_path)


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


def test_history_table_is_prismas(bed: Bed) -> None:
    bed.write("1_a", "")
    bed.migrate()
    columns = bed.sql(
        "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_name = '_prisma_migrations' ORDER BY ordinal_position"
    )
    timestamp = "timestamp with time zone"
    assert columns == [
        ("id", "character varying", 36, "NO", None),
        ("checksum", "character varying", 64, "NO", None),
        ("finished_at", timestamp, None, "YES", None),
        ("migration_name", "character varying", 255, "NO", None),
        ("logs", "text", None, "YES", None),
        ("rolled_back_at", timestamp, None, "YES", None),
        ("started_at", timestamp, None, "NO", "now()"),
        ("applied_steps_count", "integer", None, "NO", "0"),
    ]
    assert bed.rows() == [("1_a", sha256(""), True, False, 1, False)]


def test_default_privileges_give_nobody_the_history(bed: Bed) -> None:
    role = f"app_{bed.database}"
    bed.sql(f"CREATE ROLE {role}; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}, PUBLIC")
    bed.write("1_a", "CREATE TABLE a ()")
    bed.migrate()
    rights = bed.sql(
        "SELECT DISTINCT privilege_type FROM pg_class, aclexplode(relacl) "
        "WHERE relname = '_prisma_migrations' AND grantee <> relowner"
    )
    assert rights == [("SELECT",)]
    assert bed.sql(f"SELECT has_table_privilege('{role}', 'a', 'INSERT')") == [(True,)]


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


def test_a_failure_without_a_position_points_at_its_statement(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int);\n\nCREATE TABLE\n  a (id int);")
    assert 'migration.sql:3:1: relation "a" already exists (SQLSTATE 42P07)\n3 | CREATE TABLE\n  | ^\n' in bed.fails()


def test_a_failure_of_what_follows_the_statement_is_at_its_end(bed: Bed) -> None:
    bed.write("1_t", "DROP TABLE IF EXISTS _prisma_migrations")
    assert re.search(r"failed at migrations/1_t/migration.sql, at its end: relation .* does not exist", bed.fails())
    assert bed.rows() == [("1_t", bed.survey().pending[0].checksums[0], False, True, 0, True)]


@pytest.mark.parametrize(
    "sql", ["CREATE TABLE t () -- and no more", "CREATE TABLE t (); /* 50 % */", "SELECT 7 % 4, '%s'"]
)
def test_whatever_stands_beside_a_statement(bed: Bed, sql: str) -> None:
    bed.write("1_t", sql)
    assert bed.migrate()["status"] == "up_to_date"


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


LEAKS = [
    "SET search_path = pg_catalog",
    "SELECT set_config('search_path', '', false)",
    "SET ROLE pg_read_all_data",
    "SET SESSION AUTHORIZATION pg_monitor",
    "SET statement_timeout = 1; SET lock_timeout = 1; SET work_mem = '1MB'",
    "CREATE TEMPORARY TABLE b (id int)",
    "SET default_transaction_read_only = on",
    "PREPARE p AS SELECT 1; DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "BEGIN; SET search_path = pg_catalog; COMMIT; SET ROLE pg_monitor",
]


@pytest.mark.parametrize("leak", LEAKS)
def test_nothing_of_the_session_leaks_to_the_next_migration(bed: Bed, leak: str) -> None:
    bed.write("1_leak", leak)
    bed.write("2_b", "CREATE TABLE b (id int); PREPARE p AS SELECT 1; SELECT pg_sleep(0.002)")
    assert bed.migrate()["status"] == "up_to_date"
    owner = bed.sql(
        "SELECT relowner::regrole::text, relnamespace::regnamespace::text FROM pg_class WHERE relname = 'b'"
    )
    assert owner == [("postgres", "public")]


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


def test_the_lock_is_waited_for_and_its_holder_named(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    holder = bed.postgres.connect(bed.database)
    with holder.cursor() as cursor:
        cursor.execute("SET application_name = 'prisma'; SELECT pg_advisory_lock(%s), pg_backend_pid()", (PRISMA_KEY,))
        pid = cursor.fetchall()[0][1]
    bed.patience = Patience(0.2, 5)
    message = bed.fails()
    assert message.startswith("Another migration run holds the lock 72707369, waited for 0.2 s: ")
    assert f"process {pid} (prisma, role postgres, from the local socket, connected for " in message
    assert bed.sql("SELECT to_regclass('_prisma_migrations')") == [(None,)]
    bed.patience = Patience(10, 5)
    threading.Timer(0.5, holder.close).start()
    began = time.monotonic()
    assert bed.migrate()["status"] == "up_to_date"
    assert 0.4 < time.monotonic() - began < 2


def test_simultaneous_runs_apply_once(bed: Bed) -> None:
    for number in range(5):
        bed.write(f"{number}_a", f"CREATE TABLE a{number} (); SELECT pg_sleep(0.02)")
    files, results = bed.files(), []
    bed.patience = Patience(60, 5)

    def run() -> None:
        results.append(bed.outcome(files).migrations)

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(result["applied_now"]) for result in results) == [0] * 49 + [5]
    assert len(bed.rows()) == 5


def test_a_lost_connection(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (); SELECT pg_terminate_backend(pg_backend_pid())")
    message = bed.fails()
    assert "The connection is lost: run again" in message
    assert bed.tables() == []
    bed.write("1_a", "CREATE TABLE a ()")
    assert bed.migrate()["status"] == "up_to_date"


def test_a_role_without_rights(bed: Bed) -> None:
    role = f"reader_{bed.database}"
    bed.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{bed.postgres.password}'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    bed.write("1_a", "CREATE TABLE a ()")
    bed.user = role
    assert bed.fails().startswith(
        "The role may not write the history of migrations in schema 'public' (permission denied"
    )
    bed.user = "postgres"
    bed.migrate()
    bed.user = role
    assert bed.fails().startswith("The role may not read the history public._prisma_migrations (permission denied")
    bed.sql(f"GRANT SELECT ON _prisma_migrations TO {role}")
    assert bed.migrate()["status"] == "up_to_date"
    bed.write("2_b", "CREATE TABLE b ()")
    assert bed.fails().startswith(
        "The role may not write the history of migrations in schema 'public' (permission denied"
    )


def test_a_table_that_is_not_prismas(bed: Bed) -> None:
    bed.sql("CREATE TABLE _prisma_migrations (x int)")
    bed.write("1_a", "CREATE TABLE a ()")
    assert bed.fails().startswith("The table public._prisma_migrations is not Prisma's history of migrations (column ")


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


def denied(bed: Bed, rule: str, *waivers: Waiver, choice: str = "deny") -> None:
    bed.policy = Policy({**DEFAULTS, rule: choice}, waivers)


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


@pytest.fixture
def filled(bed: Bed) -> Bed:
    bed.write("1_t", "CREATE TABLE t (n int, v varchar(10), d numeric(10, 2)); CREATE SCHEMA s")
    bed.migrate()
    return bed


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


def test_a_waiver_lets_one_migration_pass_and_is_recorded(filled: Bed) -> None:
    filled.write("2_d", "DROP TABLE t")
    other = Waiver("3_e", "destructive", "why not", "ada")
    denied(filled, "destructive", other)
    filled.fails()
    denied(filled, "destructive", other, Waiver("2_d", "destructive", "moved to u in May", "ada"))
    assert filled.migrate()["status"] == "up_to_date"
    found = filled.sql("SELECT migration, decision, reason, author, role FROM slipway.migration_decisions")
    assert found == [("2_d", "waived: destructive", "moved to u in May", "ada", "postgres")]


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


LARGE = "CREATE TABLE big AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 100000) AS n"
LINTED = [
    ("CREATE INDEX i ON big (n)", ["require-concurrent-index-creation"]),
    ("CREATE INDEX i ON t (n)", []),
    ("CREATE TABLE u (n int); CREATE INDEX i ON u (n)", []),
    ("ALTER TABLE public.big ALTER n SET NOT NULL", ["adding-not-nullable-field"]),
    ("ALTER TABLE big RENAME n TO m", ["renaming-column"]),
    ("ALTER TABLE t RENAME n TO m", []),
    ("CREATE INDEX CONCURRENTLY i ON big (n)", []),
]


@pytest.mark.parametrize(("sql", "rules"), LINTED)
def test_lint_knows_which_tables_are_new_or_small(filled: Bed, sql: str, rules: list[str]) -> None:
    filled.sql(LARGE)
    filled.write("2_i", sql)
    assert [found["rule"] for found in filled.survey().result()["lint"]] == rules


def test_lint_is_denied_and_waived_in_the_file(filled: Bed) -> None:
    filled.sql(LARGE)
    denied(filled, "lint")
    filled.write("2_i", "SELECT 1;\n\nCREATE INDEX i ON big (n);")
    assert filled.fails().startswith(
        "migrations/2_i/migration.sql:3:1: During normal index creation, table updates are "
    )
    filled.write("2_i", "SELECT 1;\n-- slipway: allow require-concurrent-index-creation:\nCREATE INDEX i ON big (n);")
    filled.fails()
    reason = "it is night and nobody writes"
    filled.write(
        "2_i", f"SELECT 1;\n-- slipway: allow require-concurrent-index-creation: {reason}\nCREATE INDEX i ON big (n)"
    )
    (found,) = filled.survey().result()["lint"]
    assert (found["migration"], found["waiver"]) == ("2_i", reason)
    assert filled.migrate()["status"] == "up_to_date"


def test_style_stops_only_what_is_new(bed: Bed) -> None:
    bed.policy = Policy({**DEFAULTS, "lint": "deny"})
    bed.write("1_a", f"CREATE TABLE a (x char(3), {'y' * 64} int);")
    outcome = bed.outcome(bed.files())
    assert [warning.rsplit(" ", 1)[1] for warning in outcome.warnings] == ["(ban-char-field)", "(identifier-too-long)"]
    bed.write("2_b", "CREATE TABLE b (x char(3));")
    assert bed.fails().splitlines()[0].endswith("(ban-char-field)")


def test_values_of_rows_stay_in_the_database(bed: Bed) -> None:
    bed.write(
        "1_a", "CREATE TABLE a (email text, n text); INSERT INTO a VALUES ('ada@x.org', '4711x'), ('ada@x.org', '1')"
    )
    bed.migrate()
    for sql, left in (
        ("CREATE UNIQUE INDEX ON a (email)", "DETAIL: Key (email)=(…) (values of rows are shown with row_values=true)"),
        ("ALTER TABLE a ALTER n TYPE int USING n::int", "type integer: (value not shown) (SQLSTATE 22P02)"),
        ("ALTER TABLE a ADD CHECK (n = '1')", "violated by some row"),
        (
            "INSERT INTO a SELECT email, n || 'y' FROM a; ALTER TABLE a ADD EXCLUDE (email WITH =)",
            "DETAIL: Key (email)=(…)",
        ),
        ("DO $$ BEGIN RAISE 'no' USING DETAIL = (SELECT email FROM a LIMIT 1); END $$", "DETAIL: left out"),
    ):
        bed.write("2_b", sql)
        message = bed.fails()
        assert left in message
        assert "ada@" not in message
        assert "4711" not in message
    logs = str(bed.sql("SELECT string_agg(logs, ' ') FROM _prisma_migrations WHERE rolled_back_at IS NOT NULL"))
    assert "Key (email)=(ada@x.org) is duplicated" in logs
    assert "4711x" in logs
    with pytest.raises(SlipwayError, match=r"DETAIL: ada@x\.org"):
        migrate(bed.server, bed.files(), bed.patience, row_values=True)


def test_a_failed_rehearsal_says_that_it_was_one(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int); COMMIT; SELECT 1 / 0")
    with pytest.raises(SlipwayError) as caught:
        migrate(bed.server, bed.files(), bed.patience, rehearsal=True)
    assert str(caught.value).splitlines()[-1] == (
        "This was a rehearsal on a copy: the database was not touched, and what serves from it goes on serving. "
        "Correct the file, or the data, and run again."
    )
    bed.write("1_a", "CREATE TABLE a (id int)")
    bed.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    bed.migrate()
    (bed.directory / "1_a" / "down.sql").write_text("DROP TABLE a; SELECT 1 / 0")
    with pytest.raises(SlipwayError, match="This was a rehearsal on a copy: the database was not touched"):
        bed.undo("1_a", rehearsal=True)


def test_those_who_block_are_named_by_who_may_see_them(bed: Bed) -> None:
    bed.sql("DROP ROLE IF EXISTS watched_owner; DROP ROLE IF EXISTS watched_app")
    bed.sql("CREATE ROLE watched_owner LOGIN PASSWORD 'p'; CREATE ROLE watched_app LOGIN PASSWORD 'p'")
    bed.sql("GRANT CREATE, USAGE ON SCHEMA public TO watched_owner, watched_app")
    watcher, owner = bed.server, Server("watched_owner", bed.database, "p", socket_dir=bed.server.socket_dir)
    patience = Patience(0.2, 0.5)
    bed.write("1_a", "CREATE TABLE a ()")
    migrate(owner, bed.files(), patience)
    bed.sql("GRANT SELECT ON a TO watched_app")
    bed.write("2_b", "DROP TABLE a")
    application = bed.postgres.connect(bed.database, "watched_app", "p")
    with application.cursor() as cursor:
        cursor.execute("BEGIN; SELECT * FROM a")
        for seen_by, seen in (
            (None, "of role watched_app that this role may not"),
            (watcher, "idle in transaction for "),
        ):
            with pytest.raises(SlipwayError, match=seen) as caught:
                migrate(owner, bed.files(), patience, watcher=seen_by, lock_timeout="700ms")
            assert "role watched_app" in str(caught.value)
            assert "end them, as their own role or as a superuser, with SELECT pg_terminate_b" in str(caught.value)
        cursor.execute(f"ROLLBACK; SET application_name = 'sly'; SELECT pg_advisory_lock({PRISMA_KEY})")
        with pytest.raises(
            SlipwayError, match=r"\(sly, role watched_app, from .*end it as role watched_app or as a super"
        ):
            migrate(owner, bed.files(), patience, watcher=watcher)
    application.close()
