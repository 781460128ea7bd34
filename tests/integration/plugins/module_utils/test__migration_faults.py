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
from integration.migration_bed import Bed
from integration.migration_faults import Proxy, Saboteur, history

INJECTIONS = int(os.environ.get("SLIPWAY_FAULTS", "100"))
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'slipway migrations%'"
ROWS = "SELECT migration_name, finished_at IS NOT NULL FROM _prisma_migrations WHERE rolled_back_at IS NULL"


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    return Bed(postgres, postgres.database(), tmp_path)


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


def test_faults(bed: Bed, proxy: Proxy) -> None:
    struck: dict[str, int] = {}
    halfway = 0
    for number in range(INJECTIONS):
        chance = random.Random(number)
        migrations = history(chance)
        for each in bed.directory.iterdir():
            shutil.rmtree(each)
        for name, (sql, _) in migrations.items():
            bed.write(name, sql)
        bed.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        saboteur = Saboteur(bed.server, proxy, bed.sql, chance)
        way = saboteur.strike(bed.payload().dump(), within=0.03 * len(migrations))
        struck[way] = struck.get(way, 0) + 1
        settle(bed)

        known = rows(bed)
        halfway += 0 < list(known.values()).count(True) < len(migrations) or False in known.values()
        for name, (sql, last) in migrations.items():
            present = bed.sql(f"SELECT to_regclass('{last}') IS NOT NULL") == [(True,)]
            alone = "CONCURRENTLY" in sql or "COMMIT" in sql or "VACUUM" in sql
            # Only what can't run in one transaction has another state: begun, which its row says.
            assert present == known.get(name, False) or (alone and known.get(name) is False), (number, way, name, known)

        assert bed.migrate()["status"] == "up_to_date", (number, way)
        assert rows(bed) == dict.fromkeys(migrations, True)
        for _, last in migrations.values():
            assert bed.sql(f"SELECT to_regclass('{last}') IS NOT NULL") == [(True,)]
        assert bed.sql("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") == []
        assert bed.sql("SELECT inhrelid::regclass FROM pg_inherits WHERE inhdetachpending") == []
    assert len(struck) == 3
    assert halfway > 0  # the faults do strike while there is something to break
