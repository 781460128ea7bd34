# SPDX-License-Identifier: GPL-3.0-or-later
"""What a script sets holds for all of it and for nothing else, and its failures are explained."""

from __future__ import annotations

import re

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import migrate
from support.migrations import Bed


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


SETTINGS = [
    ("SET search_path = app; CREATE TABLE a (id int); CREATE INDEX CONCURRENTLY ON a (id); CREATE TABLE b ()", "app"),
    ("SET search_path = app; BEGIN; CREATE TABLE a (); COMMIT; BEGIN; CREATE TABLE b (); COMMIT", "app"),
    ("SELECT set_config('search_path', 'app', false); CREATE TABLE a (); VACUUM a; CREATE TABLE b ()", "app"),
    ("SET search_path = app; CREATE TABLE a (); RESET search_path; VACUUM app.a; CREATE TABLE b ()", "public"),
    ("CREATE TABLE app.a (); SET LOCAL search_path = app; VACUUM app.a; CREATE TABLE b ()", "public"),
    ("CREATE TYPE e AS ENUM ('x'); SET search_path = app, public; COMMIT; ALTER TYPE e ADD VALUE 'y';"
     " CREATE TABLE b (y e DEFAULT 'y')", "app"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "schema"), SETTINGS)
def test_what_a_file_sets_holds_for_all_of_it(bed: Bed, sql: str, schema: str) -> None:
    bed.sql("CREATE SCHEMA app")
    bed.write("1_a", sql)
    bed.write("2_c", "CREATE TABLE c ()")
    assert bed.migrate()["status"] == "up_to_date"
    where = bed.sql(
        "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname IN ('b', 'c') ORDER BY relname"
    )
    assert where == [(schema,), ("public",)]


def test_a_role_holds_for_all_of_a_file_also_when_it_is_gone_on_with(bed: Bed) -> None:
    role = f"{bed.database}_other"
    bed.sql(f"CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role}")
    bed.write("1_a", f"SET ROLE {role}; CREATE TABLE a (); VACUUM a; SELECT nope")
    assert "Its first 3 statements are kept" in bed.fails()
    bed.write("1_a", f"SET ROLE {role}; CREATE TABLE a (); VACUUM a; CREATE TABLE b ()")
    bed.migrate()
    assert bed.sql("SELECT tableowner FROM pg_tables WHERE tablename IN ('a', 'b')") == [(role,), (role,)]


def test_a_temporary_table_is_there_until_the_end_of_its_file(bed: Bed) -> None:
    bed.write("1_a", "CREATE TEMP TABLE x AS SELECT 7 AS n; CREATE TABLE a (n int); VACUUM a; INSERT INTO a TABLE x")
    bed.write("2_b", "CREATE TABLE b AS SELECT to_regclass('x') AS x")
    bed.migrate()
    assert (bed.sql("TABLE a"), bed.sql("TABLE b")) == ([(7,)], [(None,)])


def test_the_name_is_recorded_whatever_encoding_a_file_sets(bed: Bed) -> None:
    bed.write("1_über", "SET client_encoding = 'LATIN1'; CREATE TABLE a (); CREATE TABLE b ()")
    bed.migrate()
    assert bed.sql("SELECT migration_name FROM _prisma_migrations") == [("1_über",)]
    assert bed.survey().status == "up_to_date"


def test_what_is_deferred_runs_under_the_files_settings(bed: Bed) -> None:
    bed.sql(
        "CREATE SCHEMA app; CREATE TABLE app.log (); CREATE TABLE app.t (); CREATE FUNCTION app.f() RETURNS trigger"
        " LANGUAGE plpgsql AS 'BEGIN INSERT INTO log DEFAULT VALUES; RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER f AFTER INSERT ON app.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " EXECUTE FUNCTION app.f()"
    )
    bed.write("1_a", "SET search_path = app; INSERT INTO t DEFAULT VALUES")
    bed.migrate()
    assert bed.sql("SELECT count(*) FROM app.log") == [(1,)]
