# SPDX-License-Identifier: GPL-3.0-or-later
"""A proved backup, taken by role backup alone: seen in its directory, by SQL and by pg_restore."""

from __future__ import annotations

import json
import subprocess

import pytest
from support.role import STATE, databases, files, refused, schema, sql, use

BACKUPS = STATE / "backups"


def seen() -> tuple[object, ...]:
    """What a run that is refused leaves as it was."""
    return files(BACKUPS), databases(), schema()


def test_there_is_one_proved_backup_for_its_owner_alone() -> None:
    [dump], [manifest] = BACKUPS.glob("*.dump"), BACKUPS.glob("*.json")
    assert [path.stat().st_mode & 0o777 for path in (dump, manifest)] == [0o600, 0o600]
    about = json.loads(manifest.read_text())
    assert (about["application"], about["environment"], about["release"]) == ("shop", "molecule", "one")
    listed = subprocess.run(
        [STATE / "postgres/bin/pg_restore", "--list", dump], capture_output=True, text=True, check=True
    )
    assert "TABLE DATA public builds shop_owner" in listed.stdout


def test_no_scratch_database_is_left() -> None:
    assert databases() == ["postgres", "shop", "template0", "template1"]


@pytest.mark.parametrize(
    ("entry", "variables", "said"),
    [
        ("main", {"backup_compress": "much"}, "much"),
        ("main", {"backup_bindir": "/no/such"}, "/no/such"),
        ("main", {"backup_offsite": "/no/such/repository"}, "The repository /no/such/repository has no password"),
        ("restore", {"backup_name": "19990101_000000_000_one"}, "19990101_000000_000_one"),
        ("restore", {"backup_application": "other"}, "other"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(entry: str, variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(scenario_entry=entry, backup_needed=True, **variables)
    assert seen() == before


def test_it_brings_back_what_was_lost() -> None:
    sql("DROP TABLE builds", "shop_owner")
    status, said = use(scenario_entry="restore")
    assert not status, said
    assert sql("SELECT count(*) FROM builds") == [(0,)]
    [(former,)] = sql("SELECT datname FROM pg_database WHERE datname LIKE 'shop_before_restore_%'")
    sql_drop(former)


def sql_drop(database: str) -> None:
    """Go back to one database, for the next run of these tests."""
    subprocess.run(
        [STATE / "postgres/bin/dropdb", "--host", STATE / "run", "--username", "postgres", database],
        env={"PGPASSWORD": "the-superuser's"}, check=True,
    )  # fmt: skip
