# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: each kind of manual change is found, by replay and by snapshot, and a clean history shows none."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._drift import by_replay, by_snapshot, differences, record
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from conftest import Postgres
from integration.migration_bed import Bed
from integration.migration_faults import history

HISTORIES = int(os.environ.get("SLIPWAY_HISTORIES", "20"))

SCHEMA = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE numbers;
CREATE TABLE teams (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE users (
    id serial PRIMARY KEY, team bigint REFERENCES teams ON DELETE CASCADE, name text DEFAULT 'x', mood mood,
    size positive, twice int GENERATED ALWAYS AS (length(name) * 2) STORED, CONSTRAINT short CHECK (length(name) < 100)
);
CREATE INDEX users_name ON users (name);
CREATE INDEX users_lower ON users (lower(name)) WHERE size > 3;
CREATE VIEW names AS SELECT name FROM users;
CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM users;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON teams USING (id > 0);
COMMENT ON TABLE users IS 'people';
"""
# A change by hand, and the object that it shows at.
CHANGES = [
    ("CREATE TABLE extra (id int)", "table public.extra"),
    ("DROP TABLE teams CASCADE", "table public.teams"),
    ("ALTER TABLE users ADD COLUMN extra int", "column public.users.extra"),
    ("ALTER TABLE users ALTER mood TYPE text", "column public.users.mood"),
    ("ALTER TABLE users ALTER name SET DEFAULT 'y'", "column public.users.name"),
    ("ALTER TABLE users ALTER twice DROP EXPRESSION", "column public.users.twice"),
    ("ALTER TABLE users DROP CONSTRAINT short", "constraint public.users.short"),
    ("CREATE INDEX extra ON users (mood)", "index public.extra"),
    ("DROP INDEX users_lower; CREATE INDEX users_lower ON users (lower(name)) WHERE size > 4",
     "index public.users_lower"),
    ("DROP INDEX users_lower; CREATE INDEX users_lower ON users (upper(name)) WHERE size > 3",
     "index public.users_lower"),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name'::regclass", "index public.users_name"),
    ("CREATE OR REPLACE VIEW names AS SELECT name FROM users WHERE id > 1", "view public.names"),
    ("DROP MATERIALIZED VIEW counts", "view public.counts"),
    ("CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
     "function public.touch()"),
    ("ALTER TABLE users DISABLE TRIGGER touched", "trigger public.users.touched"),
    ("ALTER POLICY mine ON teams USING (true)", "policy public.teams.mine"),
    ("ALTER TABLE teams DISABLE ROW LEVEL SECURITY", "table public.teams"),
    ("ALTER SEQUENCE numbers INCREMENT 5", "sequence public.numbers"),
    ("ALTER TYPE mood ADD VALUE 'fair'", "type public.mood"),
    ("ALTER DOMAIN positive SET NOT NULL", "type public.positive"),
    ("GRANT SELECT ON users TO PUBLIC", "rights on public.users for PUBLIC"),
    ("GRANT UPDATE (name) ON users TO pg_monitor", "rights on public.users.name for pg_monitor"),
    ("ALTER TABLE users OWNER TO pg_monitor", "owner of public.users"),
    ("COMMENT ON COLUMN users.name IS 'by hand'", "comment table column public.users.name"),
    ("CREATE EXTENSION vector", "extension vector"),
    ("CREATE SCHEMA other; CREATE TABLE other.t ()", "table other.t"),
    ("ALTER TABLE users SET (fillfactor = 70)", "table public.users"),
    ("ALTER TABLE users SET UNLOGGED", "table public.users"),
    ("CREATE STATISTICS both_ ON name, mood FROM users", "statistics public.both_"),
    ("CREATE RULE nothing AS ON DELETE TO users DO INSTEAD NOTHING", "rule public.users.nothing"),
]  # fmt: skip


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    bed = Bed(postgres, postgres.database(), tmp_path)
    bed.write("1_init", SCHEMA)
    bed.migrate()
    record(bed.server, "public", check=False)
    return bed


@pytest.mark.parametrize(("change", "shown"), CHANGES)
def test_a_manual_change_is_found(bed: Bed, change: str, shown: str) -> None:
    bed.sql(change)
    assert shown in [each.object for each in by_snapshot(bed.server, "public")]
    assert shown in [each.object for each in by_replay(bed.server, bed.files())]


def test_clean_histories_show_nothing(bed: Bed) -> None:
    assert by_snapshot(bed.server, "public") == by_replay(bed.server, bed.files()) == []
    shutil.rmtree(bed.directory / "1_init")
    for number in range(HISTORIES):
        bed.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        bed.sql("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor")
        for each in bed.directory.iterdir():
            shutil.rmtree(each)
        for name, (sql, _) in history(random.Random(number)).items():
            bed.write(name, sql)
        bed.migrate()
        assert by_replay(bed.server, bed.files()) == []


def test_recording_twice_changes_nothing(bed: Bed) -> None:
    assert not record(bed.server, "public", check=False)
    bed.sql("CREATE TABLE extra ()")
    assert record(bed.server, "public", check=True)
    assert "table public.extra was added by hand" in [str(each) for each in by_snapshot(bed.server, "public")]
    assert record(bed.server, "public", check=False)
    assert by_snapshot(bed.server, "public") == []


def test_without_a_right_or_a_snapshot(bed: Bed) -> None:
    role = f"plain_{bed.database}"
    bed.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{bed.postgres.password}'; DROP SCHEMA slipway CASCADE")
    bed.sql(f"GRANT SELECT ON _prisma_migrations TO {role}")
    bed.user = role
    with pytest.raises(SlipwayError, match=r"may not create the database that the migrations are replayed in: give it"):
        by_replay(bed.server, bed.files())
    with pytest.raises(SlipwayError, match=r"^No snapshot of the schema was recorded yet: record one"):
        by_snapshot(bed.server, "public")
    with pytest.raises(
        SlipwayError, match=r"may not create the database .* No snapshot of the schema was recorded yet"
    ):
        differences(bed.server, bed.files(), "auto")


def test_nothing_is_left_of_a_replay(bed: Bed) -> None:
    bed.write("1_init", "CREATE TABLE other ()")
    by_replay(bed.server, bed.files())
    assert bed.sql("SELECT datname FROM pg_database WHERE datname LIKE 'slipway_replay%'") == []
