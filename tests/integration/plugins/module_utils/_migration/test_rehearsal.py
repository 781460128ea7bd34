# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a rehearsal, what is rolled back in it, and what stops it."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Outcome, Rehearsal, migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import keeping_snapshot
from support.migrations import Bed


def test_a_failed_rehearsal_says_that_it_was_one(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a (id int); COMMIT; SELECT 1 / 0")
    with pytest.raises(SlipwayError) as caught:
        migrate(bed.server, bed.files(), bed.patience, rehearsal=Rehearsal())
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


TABLES = "CREATE TABLE t (id int); CREATE SEQUENCE s; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"


def recorded(bed: Bed) -> Outcome:
    return migrate(bed.server, bed.files(), bed.patience, keeping_snapshot)


def test_a_failure_after_a_role_is_found_by_the_rehearsal(bed: Bed) -> None:
    bed.user = "postgres"
    bed.write("1_x", f"CREATE ROLE {bed.database}_more")
    bed.write("2_y", "CREATE TABLE y (); SELECT nope")
    with pytest.raises(SlipwayError, match='column "nope" does not exist'):
        migrate(bed.server, bed.files(), bed.patience, rehearsal=Rehearsal())
    assert bed.tables() == []
    assert bed.sql(f"SELECT FROM pg_roles WHERE rolname = '{bed.database}_more'") == []


SHARES_NOT = "can't share the transaction in which it would be rolled back"

NOT_REHEARSED = [
    (
        "ALTER SYSTEM SET work_mem = '5MB'",
        "changes the server's settings (migrations/2_x/migration.sql:1:1), for the",
    ),
    ("DO $$ BEGIN PERFORM pg_reload_conf(); END $$", "runs code that calls pg_reload_conf, which acts beyond the"),
    ("CREATE ROLE {database}_more; VACUUM t", SHARES_NOT),
    ("CREATE ROLE {database}_more; ALTER TYPE e ADD VALUE 'b'; INSERT INTO u VALUES ('b')", SHARES_NOT),
]


@pytest.mark.parametrize(("sql", "why"), NOT_REHEARSED)
def test_what_no_rollback_undoes_is_not_rehearsed(bed: Bed, sql: str, why: str) -> None:
    bed.user = "postgres"
    bed.write("1_t", f"{TABLES}; CREATE TYPE e AS ENUM ('a'); CREATE TABLE u (e e)")
    bed.write("2_x", sql.format(database=bed.database))
    bed.write("3_y", "CREATE TABLE y ()")
    rehearsed = migrate(bed.server, bed.files(), bed.patience, rehearsal=Rehearsal())
    assert rehearsed.migrations["pending"] == ["2_x", "3_y"]
    assert rehearsed.warnings[-1].startswith(f"The migration '2_x' {why}")
    assert rehearsed.warnings[-1].endswith(": it was not rehearsed, nor was what comes after it.")
    assert bed.sql(f"SELECT FROM pg_roles WHERE rolname = '{bed.database}_more'") == []


def test_a_way_back_that_concerns_the_whole_server_is_rehearsed_without_an_effect_on_it(bed: Bed) -> None:
    for name in ("1_t", "2_u", "3_v"):
        bed.write(name, f"CREATE TABLE {name[2]} ()").with_name("down.sql").write_text(f"DROP TABLE {name[2]}")
    (bed.directory / "2_u" / "down.sql").write_text(f"CREATE ROLE {bed.database}_more; DROP TABLE u")
    bed.user = "postgres"
    recorded(bed)
    first, *others = bed.undo(last=3, rehearsal=True)
    assert bed.tables() == ["t", "u"]
    assert first.startswith("Undid 3_v in ")
    assert others[0].startswith("Undid 2_u, and took that back since the server is to stay as it is (creates a role (m")
    assert others[1].startswith("Undid 1_t, and took that back since")
    (bed.directory / "2_u" / "down.sql").write_text("SELECT pg_reload_conf()")
    assert bed.undo(last=2, rehearsal=True) == [
        "The way back from '2_u' calls pg_reload_conf, which acts beyond the database (migrations/2_u/down.sql:1:1), "
        "for the whole server and not only for a copy: it was not rehearsed, nor was what comes after it."
    ]
