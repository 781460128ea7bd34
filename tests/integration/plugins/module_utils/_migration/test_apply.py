# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that run outside a transaction, and locks that others hold: nothing is lost, nobody waits for long."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY
from conftest import Postgres
from support.migrations import Bed, indexes, invalid

HELD = float(os.environ.get("SLIPWAY_HELD", "2"))  # seconds that somebody holds a table
FINISHED = (True, False, 1, False)
ROLLED_BACK = (False, True, 0, True)


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    bed = Bed(postgres, postgres.database(), tmp_path)
    bed.write("0_t", "CREATE TABLE t (id int, n int); INSERT INTO t VALUES (1, 1), (2, 1)")
    bed.migrate()
    return bed


def state(bed: Bed) -> list[tuple[object, ...]]:
    return [row[2:] for row in bed.rows()[1:]]


def test_a_dump_is_a_baseline(bed: Bed, tmp_path: Path) -> None:
    dump = tmp_path / "dump.sql"
    bed.sql(
        "COMMENT ON TABLE t IS 'é'; CREATE INDEX i ON t (n); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    source = f"postgresql://postgres:{bed.postgres.password}@/{bed.database}?host={bed.postgres.socket_dir}"
    bed.postgres.run("pg_dump", "-s", "-T", "_prisma_migrations", "-f", str(dump), "-d", source)
    copy = Bed(bed.postgres, bed.postgres.database(), tmp_path / "other")
    copy.directory.mkdir()
    copy.write("0_init", dump.read_text())
    copy.write("1_b", "CREATE TABLE b ()")
    assert copy.migrate()["status"] == "up_to_date"
    assert copy.tables() == ["b", "t"]


@contextmanager
def holding(bed: Bed, sql: str) -> Iterator[threading.Timer]:
    """A session that stays in its transaction after some SQL, until the timer that it gives has run out."""
    connection = bed.postgres.connect(bed.database)
    with connection.cursor() as cursor:
        cursor.execute("SET application_name = 'reports'")
        cursor.execute(f"BEGIN; {sql}")
    try:
        yield threading.Timer(HELD, connection.close)
    finally:
        connection.close()


def test_readers_wait_no_longer_than_the_lock_timeout(bed: Bed) -> None:
    timeout = min(2.0, 0.15 * HELD)
    bed.lock_timeout = f"{timeout * 1000:.0f}ms"
    bed.patience = Patience(5, 10 * HELD)
    bed.write("1_a", "ALTER TABLE t ADD COLUMN x int")
    slowest, stop = 0.0, threading.Event()

    def read() -> None:
        nonlocal slowest
        connection = bed.postgres.connect(bed.database)
        with connection.cursor() as cursor:
            while not stop.is_set():
                began = time.monotonic()
                cursor.execute("SELECT count(*) FROM t")
                slowest = max(slowest, time.monotonic() - began)
        connection.close()

    reader = threading.Thread(target=read)
    with holding(bed, "SELECT * FROM t") as release:
        reader.start()
        release.start()
        (applied,) = bed.migrate()["applied_now"]
    stop.set()
    reader.join()
    assert applied["attempts"] > 1
    assert applied["blockers"][0]["application"] == "reports"
    assert timeout - 0.1 < slowest < timeout + 0.1
    assert state(bed) == [FINISHED]


def test_the_blockers_are_named(bed: Bed) -> None:
    bed.lock_timeout = "500ms"
    bed.patience = Patience(5, 0)
    bed.write("1_a", "ALTER TABLE t ADD COLUMN x int")
    with holding(bed, "SELECT 'the query' FROM t"):
        message = bed.fails()
    assert "canceling statement due to lock timeout (SQLSTATE 55P03)" in message
    holder = r"\(reports, role postgres, idle in transaction for \d+ s: BEGIN; SELECT 'the query' FROM t\)"
    assert re.search(holder, message)
    assert state(bed) == [ROLLED_BACK]


def test_a_build_waits_for_old_transactions(bed: Bed) -> None:
    bed.lock_timeout = "100ms"
    bed.patience = Patience(5, 20)
    bed.write("1_i", "CREATE INDEX CONCURRENTLY i ON t (n)")
    with holding(bed, "UPDATE t SET n = 3") as release:
        release.start()
        assert bed.migrate()["status"] == "up_to_date"


@pytest.mark.parametrize("round_", range(20))
def test_builds_beside_other_runs_and_a_waiter_like_prisma(bed: Bed, round_: int) -> None:
    bed.write("1_i", "CREATE INDEX CONCURRENTLY i ON t (n); SELECT 1; CREATE INDEX CONCURRENTLY j ON t (id)")
    bed.patience = Patience(30, 20)
    if round_ % 2:
        invalid(bed, "i")
    files = bed.files()
    results: list[int] = []
    waiter = bed.postgres.connect(bed.database)
    blocker = bed.postgres.connect(bed.database)
    with blocker.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (PRISMA_KEY,))

    def wait_like_prisma() -> None:
        with waiter.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", (PRISMA_KEY,))
            cursor.execute("SELECT pg_advisory_unlock(%s)", (PRISMA_KEY,))

    threads = [
        threading.Thread(target=lambda: results.append(len(bed.outcome(files).migrations["applied_now"])))
        for _ in "12345"
    ]
    for thread in threads:
        thread.start()
    blocker.close()
    time.sleep(0.02 * round_)
    threads.append(threading.Thread(target=wait_like_prisma))
    threads[-1].start()
    for thread in threads:
        thread.join()
    waiter.close()
    assert sorted(results) == [0, 0, 0, 0, 1]
    assert indexes(bed) == [("i", True, False), ("j", True, False)]
    assert state(bed) == [FINISHED]
