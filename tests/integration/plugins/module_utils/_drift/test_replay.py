# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift where roles are as in a deployment: the owner applies, an administrator makes the scratch database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import (
    Comparison,
    by_replay,
    by_snapshot,
    record,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Outcome, Rehearsal, migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import keeping_snapshot
from conftest import Postgres
from support.migrations import Bed

TABLES = "CREATE TABLE t (id int); CREATE SEQUENCE s; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    """A database of a plain owner, whose default rights let another role in."""
    bed = Bed(postgres, postgres.database(), tmp_path)
    owner, application = f"{bed.database}_owner", f"{bed.database}_app"
    bed.sql(f"CREATE ROLE {owner} LOGIN PASSWORD '{postgres.password}'; CREATE ROLE {application}")
    bed.sql(f"ALTER DATABASE {bed.database} OWNER TO {owner}; ALTER SCHEMA public OWNER TO {owner}")
    bed.sql(
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO {application};"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SEQUENCES TO {application} WITH GRANT OPTION;"
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE ALL ON FUNCTIONS FROM PUBLIC"
    )
    bed.user = owner
    return bed


def administrator(bed: Bed) -> Comparison:
    return Comparison(bed.server, replace(bed.server, user="postgres"))


def recorded(bed: Bed) -> Outcome:
    return migrate(bed.server, bed.files(), bed.patience, keeping_snapshot)


def drift(bed: Bed, against: str) -> list[str]:
    used, found = administrator(bed).differences(bed.files(), against)
    assert used == against
    return [each.object for each in found]


def test_owners_and_rights_are_as_after_a_deploy(bed: Bed) -> None:
    bed.sql(f"CREATE SCHEMA tools; CREATE EXTENSION vector SCHEMA tools; GRANT USAGE ON SCHEMA tools TO {bed.user}")
    bed.write("1_t", TABLES + "; CREATE EXTENSION IF NOT EXISTS vector; CREATE TABLE v (x tools.vector(3))")
    recorded(bed)
    assert drift(bed, "replay") == drift(bed, "snapshot") == []
    bed.sql(f"REVOKE INSERT ON t FROM {bed.database}_app; ALTER SEQUENCE s OWNER TO postgres")
    for against in ("replay", "snapshot"):
        assert drift(bed, against)[0] == "owner of public.s"
        assert f"rights on public.t for {bed.database}_app" in drift(bed, against)
    assert bed.sql("SELECT datname FROM pg_database WHERE datname LIKE '%replay'") == []


RIGHTS = """
    CREATE SCHEMA billing; CREATE TABLE billing."Invoice" (id serial PRIMARY KEY, total int);
    CREATE TABLE audit (id int, what text); REVOKE INSERT ON audit FROM {app}; GRANT UPDATE (what) ON audit TO {app};
    GRANT ALL ON billing."Invoice" TO {app}; GRANT CREATE ON SCHEMA billing, public TO {app};
    CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE EXECUTE ON FUNCTION g() FROM {app};
    CREATE SCHEMA vault; REVOKE ALL ON SCHEMA vault FROM {app}
"""
BY_HAND = {
    'REVOKE DELETE ON billing."Invoice" FROM {app}': 'rights on billing."Invoice" for {app}',
    'GRANT SELECT ON SEQUENCE billing."Invoice_id_seq" TO PUBLIC': 'rights on billing."Invoice_id_seq" for PUBLIC',
    "GRANT INSERT ON audit TO {app}": "rights on public.audit for {app}",
    "GRANT UPDATE (id) ON audit TO {app}": "rights on public.audit.id for {app}",
    "GRANT EXECUTE ON FUNCTION g() TO PUBLIC": "rights on function public.g() for PUBLIC",
    "REVOKE CREATE ON SCHEMA billing FROM {app}": "rights on schema billing for {app}",
    "REVOKE USAGE ON SCHEMA public FROM {app}": "rights on schema public for {app}",
    "GRANT USAGE ON SCHEMA vault TO {app}": "rights on schema vault for {app}",
    "ALTER SCHEMA billing OWNER TO postgres": "owner of schema billing",
}


def test_rights_that_migrations_give_and_take_are_told_from_those_of_hands(bed: Bed) -> None:
    """In every schema, whichever made it."""
    app = f"{bed.database}_app"
    bed.sql(f"ALTER DEFAULT PRIVILEGES FOR ROLE {bed.user} GRANT USAGE ON SCHEMAS TO {app}")
    bed.sql(f"ALTER DEFAULT PRIVILEGES FOR ROLE {bed.user} GRANT SELECT, INSERT, DELETE ON TABLES TO {app}")
    bed.sql(f"GRANT USAGE ON SCHEMA public TO {app}")
    bed.write("1_t", RIGHTS.format(app=app))
    recorded(bed)
    assert drift(bed, "replay") == drift(bed, "snapshot") == []
    bed.sql("; ".join(BY_HAND).format(app=app))
    expected = {shown.format(app=app) for shown in BY_HAND.values()}
    assert expected <= set(drift(bed, "snapshot"))
    assert expected <= set(drift(bed, "replay"))


def test_the_quick_way_is_the_snapshot_where_there_is_one(bed: Bed) -> None:
    bed.write("1_t", TABLES)
    bed.migrate()
    assert administrator(bed).differences(bed.files(), "quick") == ("replay", [])
    record(bed.server, "public", check=False)
    assert administrator(bed).differences(bed.files(), "quick") == ("snapshot", [])


def test_what_an_interrupted_replay_has_left_is_dropped(bed: Bed) -> None:
    bed.write("1_t", TABLES)
    recorded(bed)
    left = f"{bed.database}_replay"
    bed.sql(f"CREATE DATABASE {left}")
    with pytest.raises(SlipwayError, match="does not carry Slipway's mark, so it is not touched"):
        drift(bed, "replay")
    bed.sql(f"COMMENT ON DATABASE {left} IS 'slipway: a copy of another database; may be dropped'")
    assert drift(bed, "replay") == []


def test_a_change_by_hand_stays_drift_after_the_next_migration(bed: Bed) -> None:
    bed.write("1_t", TABLES)
    recorded(bed)
    bed.sql("CREATE INDEX by_hand ON t (id); ALTER TABLE t ADD mine int")
    bed.write("2_u", "CREATE TABLE u (id int); DROP FUNCTION f()")
    bed.write("3_x", "CREATE TABLE x (id int); SELECT nope")
    with pytest.raises(SlipwayError, match="nope"):
        recorded(bed)
    expected = ["column public.t.mine", "index public.by_hand"]
    assert drift(bed, "snapshot") == drift(bed, "replay") == expected
    bed.write("3_x", "DROP INDEX IF EXISTS by_hand; ALTER TABLE t DROP IF EXISTS mine")
    recorded(bed)
    assert drift(bed, "snapshot") == drift(bed, "replay") == []


def test_a_snapshot_older_than_the_history_is_none(bed: Bed) -> None:
    bed.write("1_t", TABLES)
    recorded(bed)
    bed.write("2_u", "CREATE TABLE u (id int)")
    bed.migrate()
    with pytest.raises(SlipwayError, match=r"was recorded before the history changed \('2_u'\): when the"):
        by_snapshot(bed.server, "public")
    assert record(bed.server, "public", check=False)
    assert by_snapshot(bed.server, "public") == []


def test_a_snapshot_of_an_earlier_slipway_is_none(bed: Bed) -> None:
    bed.sql("CREATE SCHEMA slipway; CREATE TABLE slipway.schema_snapshot (taken_at timestamptz, catalogue jsonb)")
    bed.sql(f"ALTER SCHEMA slipway OWNER TO {bed.user}; ALTER TABLE slipway.schema_snapshot OWNER TO {bed.user}")
    bed.write("1_t", TABLES)
    with pytest.raises(SlipwayError, match=r"^No snapshot of the schema was recorded yet"):
        by_snapshot(bed.server, "public")
    recorded(bed)
    assert by_snapshot(bed.server, "public") == []


def test_nothing_is_created_where_nothing_may_be_written(bed: Bed) -> None:
    bed.write("1_t", TABLES)
    recorded(bed)
    careful = replace(administrator(bed), may_write=False)
    assert careful.differences(bed.files(), "auto") == ("snapshot", [])
    bed.sql("DROP SCHEMA slipway CASCADE")
    with pytest.raises(SlipwayError, match=r"which check mode does not\. No snapshot of the schema was recorded yet"):
        careful.differences(bed.files(), "auto")
    with pytest.raises(SlipwayError, match=r"^A replay makes a scratch database, which check mode does not\.$"):
        careful.differences(bed.files(), "replay")


ROLES = [
    ("CREATE ROLE {database}_more", "creates a role"),
    ("ALTER DATABASE {database} SET work_mem = '5MB'", "changes a database"),
    ("DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{database}_more') THEN"
     " CREATE ROLE {database}_more; END IF; END $$", "runs code that creates a role"),
    ("DO $$ DECLARE q text := lower('ALTER TABLE T ADD b int'); BEGIN EXECUTE q; END $$",
     "runs code that can't be judged"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "what"), ROLES)
def test_what_the_server_shares_is_rehearsed_and_replayed_without_an_effect_on_it(
    bed: Bed, sql: str, what: str
) -> None:
    bed.user = "postgres"
    bed.write("1_t", TABLES)
    bed.write("2_x", sql.format(database=bed.database) + "; CREATE TABLE x ()")
    bed.write("3_y", "BEGIN; CREATE TABLE y (id int PRIMARY KEY DEFERRABLE); COMMIT; INSERT INTO y VALUES (1)")
    bed.write("4_z", "INSERT INTO y VALUES (2), (3); UPDATE y SET id = id + 1; CREATE TABLE z ()")
    rehearsed = migrate(bed.server, bed.files(), bed.patience, rehearsal=Rehearsal())
    assert (rehearsed.warnings, rehearsed.stopped, bed.tables()) == ([], "", ["t"])
    assert [each["rolled_back"] for each in rehearsed.migrations["applied_now"]] == [False, True, True, True]
    assert rehearsed.actions[1].startswith(
        f"Applied 2_x, and rolled it back since the server is to stay as it is ({what} (migrations/2_x/migration.sql:1"
    )
    roles = f"SELECT FROM pg_roles WHERE rolname = '{bed.database}_more'"
    settings = f"SELECT FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase WHERE datname = '{bed.database}'"
    assert (bed.sql(roles), bed.sql(settings)) == ([], [])
    recorded(bed)
    assert by_replay(bed.server, bed.files()) == []
    bed.sql("CREATE TABLE by_hand ()")
    assert [each.object for each in by_replay(bed.server, bed.files())][:1] == ["owner of public.by_hand"]


def test_a_table_that_is_called_role_is_no_role(bed: Bed) -> None:
    bed.write("1_init", "CREATE TABLE role (id int, name text); CREATE TABLE person (role_id int, label text)")
    bed.write(
        "2_label",
        "CREATE FUNCTION label(i int) RETURNS text LANGUAGE sql AS"
        " $$ SELECT role.name FROM person JOIN role ON role.id = person.role_id WHERE person.role_id = i $$;"
        "UPDATE person SET label = label(role_id)",
    )
    rehearsed = migrate(bed.server, bed.files(), bed.patience, rehearsal=Rehearsal())
    assert [each["rolled_back"] for each in rehearsed.migrations["applied_now"]] == [False, False]
    assert administrator(bed).differences(bed.files(), "replay") == ("replay", [])


def test_what_code_does_beyond_the_server_is_not_repeated(bed: Bed) -> None:
    bed.user = "postgres"
    bed.write("1_t", TABLES)
    bed.write("2_x", "DO $$ BEGIN PERFORM pg_reload_conf(); END $$")
    recorded(bed)
    with pytest.raises(SlipwayError, match=r"be replayed: The migration '2_x' runs code that calls pg_reload_conf, wh"):
        by_replay(bed.server, bed.files())
    assert drift(bed, "snapshot") == []


def test_statements_for_the_server_alone_are_left_out_of_a_replay(bed: Bed) -> None:
    bed.user = "postgres"
    bed.write("1_t", TABLES)
    bed.write("2_x", f"CREATE ROLE {bed.database}_more; ALTER SYSTEM RESET work_mem; CREATE TABLE x (); VACUUM t")
    recorded(bed)
    assert by_replay(bed.server, bed.files()) == []


ARCHIVES = """
DO $$
DECLARE one int;
BEGIN
    FOR one IN SELECT id FROM shop LOOP
        EXECUTE format('CREATE TABLE sale_archive_%s (LIKE sale)', one);
    END LOOP;
    ALTER TABLE sale ALTER COLUMN id DROP DEFAULT;
    DROP SEQUENCE sale_id_seq;
    EXECUTE format('ALTER TABLE sale ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (START WITH %s)',
                   (SELECT coalesce(max(id), 0) + 1 FROM sale));
END $$;
"""


def test_what_migrations_made_of_rows_was_not_made_by_hand(bed: Bed) -> None:
    bed.write("1_init", "CREATE TABLE shop (id int PRIMARY KEY); CREATE TABLE sale (id bigserial PRIMARY KEY)")
    recorded(bed)
    bed.sql("INSERT INTO shop VALUES (1), (2); INSERT INTO sale SELECT FROM generate_series(1, 40)")
    bed.sql("CREATE TABLE by_hand (id int); CREATE INDEX by_hand_too ON shop (id)")
    bed.sql(f"ALTER TABLE by_hand OWNER TO {bed.user}")
    bed.write("2_archives", ARCHIVES)
    recorded(bed)
    found = {each.object for each in administrator(bed).differences(bed.files(), "replay")[1]}
    assert found >= {"table public.by_hand", "index public.by_hand_too"}
    assert all("by_hand" in each for each in found)
    record(bed.server, "public", check=False)  # which says nothing of who made it
    assert {each.object for each in administrator(bed).differences(bed.files(), "replay")[1]} == found
    bed.sql("ALTER TABLE sale_archive_1 ADD by_hand int; DROP TABLE sale_archive_2")
    later = {each.object for each in administrator(bed).differences(bed.files(), "replay")[1]}
    assert later >= {"column public.sale_archive_1.by_hand"} | found
    assert not any("sale_archive_2" in each for each in later)  # a replay knows nothing of it, the snapshot does
    assert "table public.sale_archive_2" in {each.object for each in by_snapshot(bed.server, "public")}


def test_what_was_there_before_the_first_snapshot_is_still_found_by_a_replay(bed: Bed) -> None:
    bed.write("1_t", TABLES)
    bed.migrate()
    bed.sql("CREATE TABLE by_hand ()")
    bed.write("2_u", "CREATE TABLE u ()")
    recorded(bed)
    found = {each.object for each in administrator(bed).differences(bed.files(), "replay")[1]}
    assert "table public.by_hand" in found


def test_without_its_file_a_migration_is_not_replayed(bed: Bed) -> None:
    file = bed.write("1_t", TABLES)
    bed.write("2_u", "CREATE TABLE u ()")
    recorded(bed)
    file.unlink()
    file.parent.rmdir()
    with pytest.raises(SlipwayError, match=r"^The migrations can't be replayed: '1_t' is applied but has no file\.$"):
        by_replay(bed.server, bed.files())


def test_what_is_applied_in_part_is_not_replayed(bed: Bed) -> None:
    bed.write("1_t", "CREATE TABLE t (); VACUUM t; SELECT nope")
    bed.fails()
    with pytest.raises(SlipwayError, match=r"^The migrations can't be replayed: '1_t' is half-applied, finish it"):
        by_replay(bed.server, bed.files())
