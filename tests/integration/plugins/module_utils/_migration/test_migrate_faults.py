# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that end at random moments: a change and its row go together, and the next run needs nobody's help."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Postgres
from support.migration_faults import COUNTER, DOWN, PRIMES, Proxy, Saboteur, history, times
from support.migrations import Bed

INJECTIONS = int(os.environ.get("SLIPWAY_FAULTS", "40"))
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'slipway migrations%'"
ROWS = """
    SELECT migration_name, finished_at IS NOT NULL
      FROM _prisma_migrations WHERE rolled_back_at IS NULL AND migration_name <> '0_0'
"""


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    proxy = Proxy(directory, postgres.socket_dir, postgres.port)
    yield proxy
    proxy.close()
    shutil.rmtree(directory)


def settle(bed: Bed) -> None:
    """Wait until the server has noticed that the run is gone."""
    deadline = time.monotonic() + 30
    while bed.sql(OURS) != [(0,)]:
        assert time.monotonic() < deadline, bed.sql(
            "SELECT * FROM pg_stat_activity WHERE application_name LIKE 'slip%'"
        )
        time.sleep(0.01)


def rows(bed: Bed) -> dict[object, object]:
    """Whether it is finished, by the name of each migration that has a row."""
    if bed.sql("SELECT to_regclass('_prisma_migrations')") == [(None,)]:
        return {}
    found = bed.sql(ROWS)
    assert len(found) == len({row[0] for row in found})
    return {row[0]: row[1] for row in found}


def counted(bed: Bed) -> list[tuple[int, int]]:
    """How often the first and the last part of each migration have changed the data."""
    number = int(str(bed.sql("SELECT n::bigint FROM counter")[0][0]))
    return [(times(number, first), times(number, last)) for first, last in PRIMES]


def begin(bed: Bed, migrations: dict[str, str]) -> None:
    """A database with nothing but the counter, which a migration has made, and a directory with these besides."""
    for each in bed.directory.iterdir():
        shutil.rmtree(each)
    bed.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    bed.write("0_0", COUNTER)
    bed.migrate()
    for name, sql in migrations.items():
        bed.write(name, sql)


def test_faults(bed: Bed, proxy: Proxy) -> None:
    struck: dict[str, int] = {}
    halfway = 0
    usual = 0.03  # seconds for a migration, on this machine as it is now
    for number in range(INJECTIONS):
        chance = random.Random(number)
        migrations = history(chance)
        begin(bed, {name: sql for name, (sql, _) in migrations.items()})
        saboteur = Saboteur(bed.server, proxy, bed.sql, chance)
        way = saboteur.strike(bed.payload().dump(), within=1.3 * usual * len(migrations))
        struck[way] = struck.get(way, 0) + 1
        settle(bed)

        known = rows(bed)
        halfway += 0 < list(known.values()).count(True) < len(migrations) or False in known.values()
        for (name, (sql, last)), (begun, ended) in zip(migrations.items(), counted(bed), strict=False):
            present = bed.sql(f"SELECT to_regclass('{last}') IS NOT NULL") == [(True,)]
            alone = "CONCURRENTLY" in sql or "COMMIT" in sql or "VACUUM" in sql
            where = (number, way, name, known, begun, ended)
            # Only what can't run in one transaction has another state: begun, which its row says.
            if alone and known.get(name) is False:
                assert begun <= 1, where
                assert ended == 0, where
            else:
                assert present == known.get(name, False), where
                assert begun == ended == present, where

        began = time.monotonic()
        again = bed.migrate()
        assert again["status"] == "up_to_date", (number, way)
        if len(again["applied_now"]) == len(migrations):
            usual = (time.monotonic() - began) / len(migrations)
        assert rows(bed) == dict.fromkeys(migrations, True)
        assert counted(bed)[: len(migrations)] == [(1, 1)] * len(migrations), (number, way)
        for _, last in migrations.values():
            assert bed.sql(f"SELECT to_regclass('{last}') IS NOT NULL") == [(True,)]
        assert bed.sql("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") == []
        assert bed.sql("SELECT inhrelid::regclass FROM pg_inherits WHERE inhdetachpending") == []
    assert INJECTIONS < 100 or len(struck) == len(Saboteur.WAYS)
    assert halfway > 0  # the faults do strike while there is something to break


def test_faults_at_undoing(bed: Bed, proxy: Proxy) -> None:
    halfway = 0
    usual = 0.1  # seconds for all of them, on this machine as it is now
    for number in range(INJECTIONS // 4):
        chance = random.Random(number)
        names = [f"{n}_m" for n in range(3)]
        begin(bed, {name: "UPDATE counter SET n = n * {} * {}".format(*PRIMES[n]) for n, name in enumerate(names)})
        for n, name in enumerate(names):
            (bed.directory / name / "down.sql").write_text(DOWN.format(*PRIMES[n]))
        bed.migrate()
        way = Saboteur(bed.server, proxy, bed.sql, chance).strike(
            bed.payload("down").dump(), within=1.3 * usual, last=3
        )
        settle(bed)
        known = rows(bed)
        halfway += 0 < len(known) < 3
        assert counted(bed)[:3] == [(int(name in known), int(name in known)) for name in names], (number, way, known)
        began = time.monotonic()
        bed.undo(*names)
        if len(known) == 3:
            usual = time.monotonic() - began
        assert rows(bed) == {}
        assert bed.sql("SELECT n = 1 FROM counter") == [(True,)], (number, way)
    assert INJECTIONS < 100 or halfway > 0
