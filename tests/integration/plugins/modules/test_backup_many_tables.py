# SPDX-License-Identifier: GPL-3.0-or-later
"""More tables than a statement has columns, on a server whose locks are enough for pg_dump and not for much more."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Postgres, start
from support.backup import Site, run_module

TABLES = 1700


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    settings = "-c max_connections=20 -c max_locks_per_transaction=48"
    postgres = start(request.config.getoption("--pg-version"), directory, settings)
    found = Site(postgres, postgres.database(), tmp_path / "backups")
    found.execute(
        f"DO $$ BEGIN FOR shop IN 1..{TABLES} LOOP EXECUTE format('CREATE TABLE shop_%s_order "
        "(id int PRIMARY KEY)', shop); IF shop % 100 = 0 THEN COMMIT; END IF; END LOOP; END $$"
    )
    found.execute("INSERT INTO shop_1700_order VALUES (1), (2)")
    yield found
    postgres.run("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)


def test_they_are_counted_backed_up_and_out_of_locks_is_told(site: Site) -> None:
    roles = {"owner": "postgres", "application": "postgres", "readonly": "postgres"}
    shown = run_module("schema_info", {**site.postgres.login(site.database), **roles})
    assert shown.get("msg") is None
    assert (len(shown["schema"]["tables"]), shown["schema"]["rows"]) == (TABLES, 2)

    done = site.backup()
    assert done.get("msg") is None
    assert (len(done["backup"]["tables"]), done["backup"]["rows"]) == (TABLES, 2)

    _restart(site.postgres, "-c max_connections=20 -c max_locks_per_transaction=10")
    failed = site.backup()
    assert "out of shared memory" in failed["msg"]
    assert "You might need to increase" in failed["msg"]
    assert "max_locks_per_transaction" in failed["msg"]


def _restart(postgres: Postgres, settings: str) -> None:
    data = str(postgres.directory / "data")
    options = f"-k {postgres.directory} -c listen_addresses='' -c fsync=off {settings}"
    postgres.run("pg_ctl", "-D", data, "-m", "fast", "-w", "-o", options, "restart")
