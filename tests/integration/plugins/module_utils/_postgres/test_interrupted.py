# SPDX-License-Identifier: GPL-3.0-or-later
"""What a killed run left on a server is ended by whatever comes next, and never what a run is at work on."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import run_of
from conftest import Postgres
from support.modules import run_module

LIVE = run_of(os.getpid(), "shop", "test", "deploy")
REMOTE = replace(LIVE, boot="another", machine="another", pid=1)


def look(postgres: Postgres, database: str, directory: Path, *, check: bool = False, **more: object) -> dict[str, Any]:
    """A module that only looks, and not even at the database."""
    option = {**postgres.login(database), "directory": str(directory), **more}
    return run_module("deployment_info", {"directory": str(directory), "interrupted": option}, check=check)


def warnings(found: dict[str, Any]) -> list[str]:
    return [each["event"]["msg"] for each in found["warnings"]]


def copies(postgres: Postgres, database: str) -> list[str]:
    found = postgres.execute(
        "SELECT datname FROM pg_database WHERE datname ~ %s ORDER BY 1", parameters=[f"^{database}_"]
    )
    return [str(name) for (name,) in found]


@pytest.fixture
def left(postgres: Postgres, tmp_path: Path) -> str:
    """A database that is closed beside what restore, backup and drill make, and a copy of somebody else's."""
    database = postgres.database()
    for suffix in ("restoring", "scratch", "drill", "replay"):
        postgres.execute(f"CREATE DATABASE {database}_{suffix}")
        if suffix != "replay":
            postgres.execute(f"COMMENT ON DATABASE {database}_{suffix} IS '{MARK}'")
    postgres.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    Ledger(tmp_path).acquire(LIVE)
    return database


def test_four_runs(postgres: Postgres, tmp_path: Path, left: str) -> None:
    everything = [f"{left}_{suffix}" for suffix in ("drill", "replay", "restoring", "scratch")]
    for holder in (LIVE, REMOTE):  # who may be at work
        ledger = Ledger(tmp_path)
        ledger.lock.unlink()
        ledger.acquire(holder)
        found = look(postgres, left, tmp_path)
        assert (found["changed"], "warnings" in found) == (False, False)
        assert found["left_by"] == asdict(replace(holder, fence=found["left_by"]["fence"]))
        assert copies(postgres, left) == everything
    dead = {"_dead": asdict(REMOTE)}  # as its controller says
    told = [
        f"{{}} database {left}, which a restore that was cut short left closed.",
        *(
            f"{{}} database {left}_{name}, which an earlier run left behind."
            for name in ("drill", "restoring", "scratch")
        ),
    ]
    planned = look(postgres, left, tmp_path, check=True, **dead)
    words = ["Would open", *["Would drop"] * 3]
    assert (planned["changed"], warnings(planned)) == (True, [t.format(w) for t, w in zip(told, words, strict=True)])
    assert copies(postgres, left) == everything
    done = look(postgres, left, tmp_path, **dead)
    words = ["Opened", *["Dropped"] * 3]
    assert (done["changed"], warnings(done)) == (True, [t.format(w) for t, w in zip(told, words, strict=True)])
    assert copies(postgres, left) == [f"{left}_replay"]
    postgres.execute("SELECT 1", left)
    for check in (True, False):
        again = look(postgres, left, tmp_path, check=check)
        assert (again["changed"], "warnings" in again, "left_by" in again) == (False, False, False)


def test_what_somebody_closed_stays_closed(postgres: Postgres, tmp_path: Path) -> None:
    database = postgres.database()
    Ledger(tmp_path).acquire(LIVE)
    Ledger(tmp_path).release(LIVE)
    postgres.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    assert look(postgres, database, tmp_path)["changed"] is False
    with pytest.raises(psycopg2.OperationalError, match="not currently accepting connections"):
        postgres.execute("SELECT 1", database)


@pytest.mark.once
def test_a_server_that_does_not_answer_is_no_hindrance(postgres: Postgres, tmp_path: Path) -> None:
    Ledger(tmp_path).acquire(LIVE)
    found = look(postgres, "shop", tmp_path, login_unix_socket=str(tmp_path))
    assert (found["changed"], found["deployment"]["release"]) == (False, "")


def test_within_a_run_nothing_is_done(
    postgres: Postgres, tmp_path: Path, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = Ledger(tmp_path).holder()
    assert holder
    monkeypatch.setenv("SLIPWAY_FENCE", f"{holder.fence} {tmp_path}")
    assert look(postgres, left, tmp_path)["changed"] is False
    assert len(copies(postgres, left)) == 4


def test_a_server_that_the_copy_was_on_goes_too(postgres: Postgres, tmp_path: Path) -> None:
    home = tmp_path / "backups" / "throwaway"
    home.mkdir(parents=True)
    Ledger(tmp_path).acquire(LIVE)
    for dead, gone in ((None, False), (asdict(LIVE), True)):
        found = look(postgres, postgres.database(), tmp_path, backup_directory=str(home.parent), _dead=dead)
        assert (found["changed"], home.exists()) == (gone, not gone)
    assert warnings(found) == [f"Removed the throw-away server in {home}, which a run left behind."]
