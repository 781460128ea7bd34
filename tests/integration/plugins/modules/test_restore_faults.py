# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores that end at any moment: the database is open, old or restored as a whole, and the next run needs no help."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import connection, databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import run_of
from conftest import Postgres
from support.backup import Site
from support.backup_faults import OURS, WAYS, Crowd, begin, strike
from support.modules import run_module

RESTORES = int(os.environ.get("SLIPWAY_RESTORES", "6"))
ROWS = 200
SWAPPING = f"SELECT pid FROM pg_stat_activity WHERE {OURS} AND query ~ '^ALTER DATABASE .* (RENAME|ALLOW)'"
LEFT = "SELECT datname FROM pg_database WHERE datname ~ '^faults_(restoring|scratch|replay)'"
KEPT = "SELECT datname FROM pg_database WHERE datname ~ '^faults_before_restore_'"


@pytest.fixture(scope="module")
def site(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A database whose rows say `old`, with a backup in which they say `restored`."""
    server.execute("CREATE DATABASE faults")
    found = Site(server, "faults", tmp_path_factory.mktemp("faults") / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute(f"INSERT INTO t (x) SELECT 'restored' FROM generate_series(1, {ROWS})")
    assert found.backup()["backup"]["proved"]
    dead = replace(run_of(os.getpid(), "autotest", "test", "restore"), pid=4194305)
    Ledger(found.directory.parent).acquire(dead)
    return found


def state(site: Site) -> str:
    """What the rows say; all of them the same."""
    found = site.execute("SELECT count(*), min(x), max(x) FROM t")
    assert found in [[(ROWS, text, text)] for text in ("old", "restored")], found
    return str(found[0][1])


class Deadly(connection._Cursor):
    """Ends its process with SIGKILL at one of the statements that change something, before or after it."""

    left = 0
    after = False

    def execute(self, query: Any, values: Any = None) -> None:
        text = query if isinstance(query, str) else query.as_string(self)
        fatal = not text.lstrip().startswith("SELECT") and Deadly.count()
        if fatal and not Deadly.after:
            os.kill(os.getpid(), signal.SIGKILL)
        super().execute(query, values)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    @classmethod
    def count(cls) -> bool:
        cls.left -= 1
        return cls.left == 0


def look(site: Site) -> dict[str, Any]:
    """Have a verb that only looks at the ledger come next."""
    option = {**site.postgres.login(site.database), "directory": str(site.directory.parent)}
    return run_module("deployment_info", {"directory": str(site.directory.parent), "interrupted": option})


def swap_until(site: Site, statement: int, after: bool) -> None:
    Deadly.left, Deadly.after = statement, after
    server = Server.from_params({**site.common, "ssl_mode": "prefer", "ca_cert": None, "login_host": "", **LONG})
    with mock.patch.object(connection, "_Cursor", Deadly):
        databases.swap(server.on("postgres"), site.database, f"{site.database}_restoring", f"{site.database}_kept")


LONG = {"connect_timeout": 60}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_swap_that_is_killed_at_each_of_its_statements(server: Postgres, site: Site, after: bool) -> None:
    ends = []
    for statement in range(1, 20):
        site.execute("UPDATE t SET x = 'old'")
        server.execute(f"CREATE DATABASE {site.database}_restoring TEMPLATE {site.database}")
        server.execute(f"COMMENT ON DATABASE {site.database}_restoring IS '{databases.MARK}'")
        server.execute("UPDATE t SET x = 'restored'", f"{site.database}_restoring")
        with Crowd(site):
            process = multiprocessing.get_context("fork").Process(target=swap_until, args=(site, statement, after))
            process.start()
            process.join(60)
            begun = time.monotonic()
            contents = state(site)
            assert time.monotonic() - begun < 4  # the killed run's session does not keep the others waiting
        ends.append((process.exitcode, contents))
        undone = look(site)
        assert undone["changed"] is (contents == "old"), undone
        assert (server.execute(LEFT), state(site)) == ([], contents)
        server.execute(f"DROP DATABASE IF EXISTS {site.database}_kept WITH (FORCE)")
        if process.exitcode == 0:
            break
    assert ends == [(-signal.SIGKILL, "old")] * (len(ends) - 1) + [(0, "restored")]
    assert len(ends) > 4


def test_restores_that_end_at_random_moments(server: Postgres, site: Site) -> None:
    begun = time.monotonic()
    site.restore()
    whole = time.monotonic() - begun
    seen: dict[tuple[str, str], int] = {}
    for number in range(RESTORES):
        chance = random.Random(number)
        way = WAYS[number % len(WAYS)] if number < 2 * len(WAYS) else chance.choice(WAYS)
        site.execute("UPDATE t SET x = 'old'")
        with Crowd(site):
            process = begin(site, "restore")
            if chance.random() < 0.3:
                time.sleep(chance.uniform(0, whole))
            else:  # in the swap itself
                while process.poll() is None and not server.execute(SWAPPING):
                    time.sleep(0.001)
                time.sleep(chance.choice([0, chance.uniform(0, 0.05)]))
            with contextlib.suppress(ProcessLookupError):
                strike(server, process, way)
            process.wait(timeout=60)
            contents = state(site)  # while the clients are there: the database is open to them
        seen[way, contents] = seen.get((way, contents), 0) + 1
        if number % 2:
            deadline = time.monotonic() + 30
            while server.execute(LEFT):  # as long as a program that the killed module started is in there
                assert time.monotonic() < deadline, (number, way)
                look(site)
            assert state(site) == contents, (number, way)

        done = site.restore()
        assert done.get("msg") is None, (number, way, done)
        assert state(site) == "restored"
        assert server.execute(LEFT) == [], (number, way)
        for (name,) in server.execute(KEPT):
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert {contents for _, contents in seen} == {"old", "restored"} or RESTORES < 50, seen
    print(seen)
