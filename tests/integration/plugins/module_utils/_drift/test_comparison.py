# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: a manual change is found, by replay and by snapshot, and a clean history shows none."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
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
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import working
from ansible_collections.slipway.deploy.plugins.module_utils._schema import catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.snapshot import load, store
from conftest import Postgres
from support.backup import Site
from support.migration_faults import COUNTER, history
from support.migrations import Bed
from support.schema_changes import SCHEMA

HISTORIES = int(os.environ.get("SLIPWAY_HISTORIES", "20"))
COPIES = itertools.count()


@pytest.fixture(scope="module")
def clean(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Bed:
    """A database that its migrations made, to be left as it is."""
    bed = Bed(postgres, postgres.database(), tmp_path_factory.mktemp("migrations"))
    bed.write("1_init", SCHEMA)
    bed.migrate()
    record(bed.server, "public", check=False)
    return bed


def copied(clean: Bed) -> str:
    name = f"{clean.database}_{next(COPIES)}"
    clean.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {clean.database}")
    return name


@pytest.fixture
def bed(clean: Bed, tmp_path: Path) -> Bed:
    """A copy of it, to be changed."""
    shutil.copytree(clean.directory, tmp_path, dirs_exist_ok=True)
    return replace(clean, database=copied(clean), directory=tmp_path)


def whole(postgres: Postgres, database: str) -> Catalogue:
    with contextlib.closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
        return catalogue.read(cursor)


def test_manual_changes_are_found_by_replay_and_by_snapshot(bed: Bed) -> None:
    assert by_snapshot(bed.server, "public") == by_replay(bed.server, bed.files()) == []
    bed.sql("DROP INDEX users_name; ALTER TABLE users ALTER name SET DEFAULT 'y'; CREATE VIEW extra AS SELECT 1 AS n")
    expected = ["column public.users.name", "index public.users_name", "owner of public.extra",
                "rights on public.extra for postgres", "view public.extra"]  # fmt: skip
    assert [each.object for each in by_snapshot(bed.server, "public")] == expected
    assert [each.object for each in by_replay(bed.server, bed.files())] == expected


def test_what_was_undone_and_only_marked_as_applied_is_found(bed: Bed) -> None:
    bed.write("2_motto", "ALTER TABLE users ADD motto text;").with_name("down.sql").write_text(
        "ALTER TABLE users DROP motto;"
    )
    bed.migrate()
    bed.undo("2_motto")
    with working(bed.server, "public") as cursor:  # as the undoing keeps it: migrations removed the column
        kept = load(cursor)
        assert kept
        store(cursor, replace(kept, made=frozenset({"column public.users.motto"})))
    assert by_replay(bed.server, bed.files()) == []
    bed.resolve("applied", "2_motto")
    assert [each.object for each in by_replay(bed.server, bed.files())] == ["column public.users.motto"]


def test_clean_histories_show_nothing(postgres: Postgres, tmp_path: Path) -> None:
    bed = Bed(postgres, postgres.database(), tmp_path)
    for number in range(HISTORIES):
        bed.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        bed.sql("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO pg_monitor")
        for each in bed.directory.iterdir():
            shutil.rmtree(each)
        bed.write("0_counter", COUNTER)
        for name, (sql, _) in history(random.Random(number)).items():
            bed.write(name, sql)
        bed.migrate()
        assert by_replay(bed.server, bed.files()) == []


def test_prismas_history_and_what_is_ours_is_left_out(clean: Bed) -> None:
    assert len(clean.rows()) == len(clean.sql("TABLE slipway.schema_snapshot")) == 1
    assert [
        name for name in whole(clean.postgres, clean.database) if "_prisma_migrations" in name or "slipway" in name
    ] == []


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
    with pytest.raises(SlipwayError, match=r"may not create the database that the migrations are replayed in \(perm"):
        by_replay(bed.server, bed.files())
    with pytest.raises(SlipwayError, match=r"^No snapshot of the schema was recorded yet: record one"):
        by_snapshot(bed.server, "public")
    with pytest.raises(
        SlipwayError, match=r"may not create the database .* No snapshot of the schema was recorded yet"
    ):
        Comparison(bed.server, bed.server).differences(bed.files(), "auto")


def test_nothing_is_left_of_a_replay(bed: Bed) -> None:
    bed.write("1_init", "CREATE TABLE other ()")
    by_replay(bed.server, bed.files())
    assert bed.sql("SELECT datname FROM pg_database WHERE datname LIKE 'slipway_replay%'") == []


def test_a_restore_prints_definitions_anew_and_is_no_drift(postgres: Postgres, tmp_path: Path) -> None:
    """PostgreSQL prints ``IN`` on a varchar with its casts in other places once a dump was loaded."""
    site = Site(postgres, postgres.database(), tmp_path / "backups")
    (tmp_path / "migrations").mkdir()
    bed = Bed(postgres, site.database, tmp_path / "migrations")
    bed.write("1_init", "CREATE TABLE t (x varchar CHECK (x IN ('a', 'b')), y int); CREATE VIEW v AS SELECT y FROM t;")
    bed.migrate()
    record(bed.server, "public", check=False)
    site.execute("CREATE OR REPLACE VIEW v AS SELECT y + 1 - 1 AS y FROM t")  # by hand, which stays drift
    site.backup()
    printed = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'c'"
    before = site.execute(printed)
    assert site.restore().get("msg") is None
    assert site.execute(printed) != before
    for found in (by_snapshot(bed.server, "public"), by_replay(bed.server, bed.files())):
        assert [each.object for each in found] == ["view public.v"]
    assert site.backup()["changed"]
    assert site.restore().get("msg") is None
    assert [each.object for each in by_snapshot(bed.server, "public")] == ["view public.v"]
