# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that end at any moment: the database serves, nothing half-done is a backup, the next run needs no help."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import time

import pytest
from conftest import Postgres
from support.backup import Site
from support.backup_faults import WAYS, Crowd, begin, strike

BACKUPS = int(os.environ.get("SLIPWAY_BACKUPS", "4"))
ROWS = 20_000
LEFT = "SELECT datname FROM pg_database WHERE datname ~ '^faults_'"


@pytest.fixture(scope="module")
def site(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    server.execute("CREATE DATABASE faults")
    found = Site(server, "faults", tmp_path_factory.mktemp("faults") / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute(f"INSERT INTO t (x) SELECT repeat('x', 200) FROM generate_series(1, {ROWS})")
    return found


def test_a_server_without_room_for_the_copy(server: Postgres, site: Site) -> None:
    """Its files may grow to 17 MB (setrlimit(2)), so that the copy's table can't have all of its rows."""
    site.execute(f"INSERT INTO t (x) SELECT repeat('x', 900) FROM generate_series(1, {ROWS})")
    before = site.files()
    pid = (server.directory / "data" / "postmaster.pid").read_text().split()[0]
    resource.prlimit(int(pid), resource.RLIMIT_FSIZE, (17 << 20, resource.RLIM_INFINITY))
    try:
        failed = site.backup()
    finally:
        resource.prlimit(int(pid), resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert "File too large" in failed["msg"]
    assert server.execute(LEFT) == []
    assert site.files() == before
    assert site.execute("SELECT count(*) FROM t") == [(2 * ROWS,)]
    assert site.backup()["backup"]["proved"]
    site.execute("DELETE FROM t WHERE length(x) = 900")


def test_backups_that_end_at_random_moments(server: Postgres, site: Site) -> None:
    begun = time.monotonic()
    assert site.backup()["backup"]["rows"] == ROWS
    whole = time.monotonic() - begun
    for number in range(BACKUPS):
        chance = random.Random(number)
        way = WAYS[number % len(WAYS)]
        site.execute(f"UPDATE t SET x = 'y' WHERE id = {number + 1}")  # so that it is another content
        before = site.files()
        with Crowd(site):
            process = begin(site, "backup")
            time.sleep(whole * (number + chance.random()) / BACKUPS)
            with contextlib.suppress(ProcessLookupError):
                strike(server, process, way)
            process.wait(timeout=60)
            assert site.execute("SELECT count(*) FROM t") == [(ROWS,)]
        proved = [each["name"] for each in site.info(verify=True)["backups"] if not each["problem"]]
        assert {f"{name}{end}" for name in proved for end in (".dump", ".json")} >= set(before)

        done = site.backup()
        assert done.get("msg") is None, (number, way, done)
        assert server.execute(LEFT) == [], (number, way)
        assert not [name for name in site.files() if name.endswith(".partial")]
