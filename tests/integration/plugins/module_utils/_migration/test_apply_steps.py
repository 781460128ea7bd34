# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are applied in several steps: what goes from one to the next, and what is known of them at any moment."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import locks
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.preview import preview
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import keeping_snapshot
from conftest import Postgres
from support.migrations import Bed, session

APPLIED = (True, False, 1, False)


@contextlib.contextmanager
def session_for(bed: Bed, seconds: float, *statements: str) -> Iterator[None]:
    """The same, which ends after so many seconds while the ``with`` block goes on."""
    ready = threading.Event()

    def hold() -> None:
        with session(bed, *statements):
            ready.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        thread.join()


def states(bed: Bed) -> list[tuple[object, ...]]:
    return [row[2:] for row in bed.rows()]


INERT = {f"{number:02}_t": f"CREATE TABLE t{number} (id int PRIMARY KEY)" for number in range(5)}


def test_migrations_that_share_a_round_trip_are_transactions_of_their_own(bed: Bed) -> None:
    for name, sql in INERT.items():
        bed.write(name, sql)
    bed.write("03_t", "CREATE TABLE t3 (id nope)")
    assert bed.fails().startswith(
        "Migration '03_t' failed at migrations/03_t/migration.sql:1:21: type \"nope\" does not exist (SQLSTATE 42704)\n"
    )
    assert [row[0] for row in bed.rows() if row[2]] == ["00_t", "01_t", "02_t"]
    assert [row[0] for row in bed.rows() if row[3]] == ["03_t"]
    assert bed.tables() == ["t0", "t1", "t2"]
    bed.write("03_t", INERT["03_t"])
    assert [each["name"] for each in bed.migrate()["applied_now"]] == ["03_t", "04_t"]
    one_each = (
        "SELECT count(DISTINCT xmin::text), count(DISTINCT started_at) FROM _prisma_migrations WHERE logs IS NULL"
    )
    assert bed.sql(one_each) == [(5, 5)]
    in_order = "SELECT migration_name FROM _prisma_migrations WHERE logs IS NULL ORDER BY started_at"
    assert [name for (name,) in bed.sql(in_order)] == list(INERT)
    assert states(bed).count(APPLIED) == 5


def test_one_that_waits_for_a_lock_is_patient_also_among_others(bed: Bed) -> None:
    bed.sql("CREATE TABLE parent (id int PRIMARY KEY)")
    bed.write("00_p", "CREATE TABLE parent (id int PRIMARY KEY)")
    bed.resolve("applied", "00_p")
    bed.write("01_t", "CREATE TABLE t1 ()")
    bed.write("02_t", "CREATE TABLE t2 (id int REFERENCES parent)")
    bed.write("03_t", "CREATE TABLE t3 ()")
    bed.lock_timeout = "300ms"
    with session_for(bed, 1.5, "LOCK parent"):
        applied = bed.migrate()["applied_now"]
    assert [(each["name"], each["attempts"] > 1) for each in applied] == [
        ("01_t", False),
        ("02_t", True),
        ("03_t", False),
    ]


def test_where_code_may_run_at_any_statement_each_is_sent_alone(bed: Bed) -> None:
    bed.sql(
        "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN SET search_path = elsewhere; END $$;"
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f(); CREATE SCHEMA elsewhere"
    )
    bed.write("00_x", "CREATE SCHEMA elsewhere")
    bed.resolve("applied", "00_x")
    for name, sql in INERT.items():
        bed.write(name.replace("_", "1_"), sql)
    bed.migrate()
    assert bed.tables() == ["t0", "t1", "t2", "t3", "t4"]


def test_locks_not_got_at_the_end_of_a_step(bed: Bed) -> None:
    bed.sql("CREATE TABLE p (i int PRIMARY KEY); INSERT INTO p VALUES (1)")
    bed.write("0_c", "CREATE TABLE c (i int REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
    bed.resolve("applied", "0_c")
    bed.sql((bed.directory / "0_c" / "migration.sql").read_text())
    bed.write("1_a", "INSERT INTO c VALUES (1); CREATE INDEX CONCURRENTLY ON c (i); INSERT INTO c VALUES (1)")
    bed.lock_timeout = "300ms"
    with session_for(bed, 1.5, "SELECT FROM p FOR UPDATE"):
        assert bed.migrate()["applied_now"][0]["attempts"] > 1
    assert (bed.sql("SELECT count(*) FROM c"), states(bed)[1:]) == ([(2,)], [APPLIED])


def test_a_first_step_that_fails_at_its_end_is_recorded(bed: Bed) -> None:
    bed.write(
        "1_a", "CREATE TABLE a (i int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO a VALUES (1), (1); VACUUM"
    )
    assert "at its end: duplicate key" in bed.fails()
    assert states(bed) == [(False, True, 0, True)]


def test_braces_in_a_failure_do_not_hide_the_progress(bed: Bed) -> None:
    file = bed.write("1_a", "CREATE TABLE a (i int CHECK (i > 0), x int[]); VACUUM a; INSERT INTO a VALUES (0, '{1}')")
    bed.row_values = True
    assert "(0, {1})" in bed.fails()
    assert bed.survey().status == "pending"
    file.write_text(file.read_text().replace("(0,", "(1,"))
    assert bed.migrate()["status"] == "up_to_date"


def test_the_interrupted_build_of_an_index_goes_on_in_a_restored_copy(bed: Bed, postgres: Postgres) -> None:
    bed.write("1_a", "CREATE TABLE a (i int); CREATE INDEX CONCURRENTLY ON a (i); CREATE TABLE b ()")
    with session(bed, "CREATE TABLE IF NOT EXISTS other ()"):
        thread = threading.Thread(target=interrupted, args=(bed,))
        thread.start()
        running = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONC%'"
        deadline = time.monotonic() + 20
        while not bed.sql(running) and time.monotonic() < deadline:
            time.sleep(0.05)
        thread.join()
    login = ["-h", str(postgres.socket_dir), "-U", postgres.user]
    environment = {"PGPASSWORD": postgres.password}
    dump = subprocess.run(
        [postgres.bindir / "pg_dump", *login, bed.database], env=environment, capture_output=True, check=True
    ).stdout
    bed.database = postgres.database()
    subprocess.run(
        [postgres.bindir / "psql", "-qX", *login, bed.database],
        env=environment,
        input=dump,
        capture_output=True,
        check=True,
    )
    assert bed.migrate()["status"] == "up_to_date"
    assert bed.sql("SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'a'::regclass") == [("a_i_idx",)]


def interrupted(bed: Bed) -> None:
    with contextlib.suppress(SlipwayError):
        bed.migrate()


PROCEDURE = "CREATE TABLE a (); CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN {} END'"


def test_a_procedure_that_fails_after_a_commit_is_not_said_to_have_left_nothing(bed: Bed) -> None:
    bed.write("1_p", PROCEDURE.format("INSERT INTO a DEFAULT VALUES; COMMIT; RAISE EXCEPTION ''no''; "))
    bed.write("2_c", "CALL p()")
    said = bed.fails()
    assert "It commits by itself, so that it may be half-applied: look at the database" in said
    assert "Nothing of this migration was kept" not in said
    assert "commits by itself and was not finished, so that it can't be repeated safely (Migration" in bed.fails()


def test_a_procedure_that_meets_a_lock_is_not_repeated_and_says_so(bed: Bed) -> None:
    bed.write("1_p", PROCEDURE.format("COMMIT; LOCK a; "))
    bed.migrate()
    bed.write("2_c", "CALL p()")
    bed.lock_timeout = "200ms"
    with session(bed, "LOCK a"):
        said = bed.fails()
    assert "canceling statement due to lock timeout (SQLSTATE 55P03)" in said
    assert "It commits by itself, so that it may be half-applied" in said


def test_a_procedure_that_is_done_is_done_whoever_has_prismas_lock(bed: Bed) -> None:
    bed.write("1_p", PROCEDURE.format("COMMIT; "))
    bed.write("2_c", "CALL p()")
    bed.migrate()
    assert states(bed) == [APPLIED, APPLIED]


def test_other_line_endings_are_no_edit_of_what_is_half_applied(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ();\nVACUUM a;\nSELECT nope;\n")
    bed.fails()
    bed.write("1_a", "CREATE TABLE a ();\r\nVACUUM a;\r\nCREATE TABLE b ();\r\n")
    assert bed.migrate()["status"] == "up_to_date"


def test_the_status_tells_what_is_applied_in_part_and_whether_it_can_be_gone_on_with(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (); VACUUM a; SELECT nope")
    bed.fails()
    plan = bed.survey()
    assert (plan.status, plan.result()["half_applied"], plan.findings) == ("pending", ["1_a"], [])
    assert plan.notes[0].startswith(
        "The migration '1_a' is half-applied (statements finished: 2), and the next run goes on from there; "
        "the last attempt failed: Migration '1_a' failed at migrations/1_a/migration.sql:1:37"
    )
    with session(bed, f"SELECT pg_advisory_lock({locks.SLIPWAY_KEY})"):
        assert "finished: 2), and a migration run is under way: process" in bed.survey().notes[0]
    bed.write("0_z", "CREATE TABLE z ()")
    bed.write("1_a", "CREATE TABLE aa (); VACUUM aa; CREATE TABLE b ()")
    edited = "is half-applied and the first 2 statements of migrations/1_a/migration.sql, which are, were edited since"
    assert edited in bed.fails()
    assert bed.tables() == ["a"]
    with pytest.raises(SlipwayError, match=edited):
        preview(bed.server, bed.files())


def longest_wait(bed: Bed, seconds: float) -> float:
    """The longest that a reader of the table ``a`` had to wait within so many seconds."""
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        bed.sql("SELECT count(*) FROM a")
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.02)
    return longest


def longest_wait_beside(bed: Bed, seconds: float) -> float:
    """The longest that a reader of ``a`` had to wait within so many seconds from the start of a run, which succeeds."""
    thread = threading.Thread(target=bed.migrate)
    thread.start()
    waited = longest_wait(bed, seconds)
    thread.join()
    assert bed.survey().status == "up_to_date"
    return waited


def test_several_waits_of_one_file_are_one_wait_for_the_others(bed: Bed) -> None:
    bed.sql("CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE TABLE c (i int); CREATE SCHEMA history")
    bed.schema, bed.lock_timeout = "history", "1500ms"
    bed.write("1_a", "ALTER TABLE public.a ADD n int; ALTER TABLE public.b ADD n int; ALTER TABLE public.c ADD n int")
    with session_for(bed, 1.2, "LOCK b"), session_for(bed, 2.4, "LOCK c"):
        assert longest_wait_beside(bed, 4) < 2


def test_a_rebuild_of_all_indexes_makes_nobody_wait_longer_than_the_timeout(bed: Bed) -> None:
    bed.sql("CREATE TABLE a (i int PRIMARY KEY); CREATE SCHEMA history")
    bed.schema, bed.lock_timeout = "history", "500ms"
    bed.write("1_a", "REINDEX SCHEMA public")
    with session_for(bed, 2, "SELECT FROM a"):
        assert longest_wait_beside(bed, 2.5) < 1.2


def test_where_the_snapshot_can_not_be_kept_nothing_is_applied(bed: Bed) -> None:
    bed.sql(f"CREATE ROLE {bed.database}_plain LOGIN PASSWORD '{bed.postgres.password}'")
    bed.sql(f"GRANT ALL ON SCHEMA public TO {bed.database}_plain")
    bed.user = f"{bed.database}_plain"
    bed.write("1_a", "CREATE TABLE a ()")
    with pytest.raises(
        SlipwayError, match=r"may not keep the schema in slipway\.schema_snapshot \(permission denied for"
    ):
        migrate(bed.server, bed.files(), bed.patience, keeping_snapshot)
    assert bed.tables() == []


def test_the_last_ones_to_undo_are_those_applied_last(bed: Bed) -> None:
    for name in ("1_a", "3_c"):
        bed.write(name, f"CREATE TABLE {name[2]} ()").with_name("down.sql").write_text(f"DROP TABLE {name[2]}")
    bed.migrate()
    bed.write("2_b", "CREATE TABLE b ()").with_name("down.sql").write_text("DROP TABLE b")
    bed.migrate()
    assert bed.undo(last=2, check=True) == ["Would undo 2_b.", "Would undo 3_c."]
    for last in (0, -1, 4):
        with pytest.raises(SlipwayError, match=rf"^The last {last} migrations can't be undone, 3 are applied: correct"):
            bed.undo(last=last)


def test_one_applied_in_part_is_not_undone(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (); VACUUM a; SELECT nope").with_name("down.sql").write_text("DROP TABLE a")
    bed.fails()
    with pytest.raises(
        SlipwayError, match=r"^The migration '1_a' is half-applied: apply the rest of it before undoing"
    ):
        bed.undo("1_a")


def test_a_name_given_twice_is_resolved_once(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    bed.resolve("applied", "1_a", "1_a")
    assert len(bed.rows()) == 1
