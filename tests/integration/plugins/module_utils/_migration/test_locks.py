# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that wait for each other, and those who are in their way, are named."""

from __future__ import annotations

import threading
import time

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import locks
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import migrate
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from support.migrations import Bed, session


def test_the_lock_is_waited_for_and_its_holder_named(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    holder = bed.postgres.connect(bed.database)
    with holder.cursor() as cursor:
        cursor.execute("SET application_name = 'prisma'; SELECT pg_advisory_lock(%s), pg_backend_pid()", (PRISMA_KEY,))
        pid = cursor.fetchall()[0][1]
    bed.patience = Patience(0.2, 5)
    message = bed.fails()
    assert message.startswith("Another migration run holds the lock 72707369, waited for 0.2 s: ")
    assert f"process {pid} (prisma, role postgres, from the local socket, connected for " in message
    assert bed.sql("SELECT to_regclass('_prisma_migrations')") == [(None,)]
    bed.patience = Patience(10, 5)
    threading.Timer(0.5, holder.close).start()
    began = time.monotonic()
    assert bed.migrate()["status"] == "up_to_date"
    assert 0.4 < time.monotonic() - began < 2


def test_simultaneous_runs_apply_once(bed: Bed) -> None:
    for number in range(5):
        bed.write(f"{number}_a", f"CREATE TABLE a{number} (); SELECT pg_sleep(0.02)")
    files, results = bed.files(), []
    bed.patience = Patience(60, 5)

    def run() -> None:
        results.append(bed.outcome(files).migrations)

    threads = [threading.Thread(target=run) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(result["applied_now"]) for result in results) == [0] * 49 + [5]
    assert len(bed.rows()) == 5


def test_those_who_block_are_named_by_who_may_see_them(bed: Bed) -> None:
    bed.sql("DROP ROLE IF EXISTS watched_owner; DROP ROLE IF EXISTS watched_app")
    bed.sql("CREATE ROLE watched_owner LOGIN PASSWORD 'p'; CREATE ROLE watched_app LOGIN PASSWORD 'p'")
    bed.sql("GRANT CREATE, USAGE ON SCHEMA public TO watched_owner, watched_app")
    watcher, owner = bed.server, Server("watched_owner", bed.database, "p", socket_dir=bed.server.socket_dir)
    patience = Patience(0.2, 0.5)
    bed.write("1_a", "CREATE TABLE a ()")
    migrate(owner, bed.files(), patience)
    bed.sql("GRANT SELECT ON a TO watched_app")
    bed.write("2_b", "DROP TABLE a")
    application = bed.postgres.connect(bed.database, "watched_app", "p")
    with application.cursor() as cursor:
        cursor.execute("BEGIN; SELECT * FROM a")
        for seen_by, seen in (
            (None, "of role watched_app that this role may not"),
            (watcher, "idle in transaction for "),
        ):
            with pytest.raises(SlipwayError, match=seen) as caught:
                migrate(owner, bed.files(), patience, watcher=seen_by, lock_timeout="700ms")
            assert "role watched_app" in str(caught.value)
            assert "end them, as their own role or as a superuser, with SELECT pg_terminate_b" in str(caught.value)
        cursor.execute(f"ROLLBACK; SET application_name = 'sly'; SELECT pg_advisory_lock({PRISMA_KEY})")
        with pytest.raises(
            SlipwayError, match=r"\(sly, role watched_app, from .*end it as role watched_app or as a super"
        ):
            migrate(owner, bed.files(), patience, watcher=watcher)
    application.close()


def states(bed: Bed) -> list[tuple[object, ...]]:
    return [row[2:] for row in bed.rows()]


def test_a_plain_role_is_told_who_is_in_its_way(bed: Bed) -> None:
    bed.sql(f"CREATE ROLE {bed.database}_own LOGIN PASSWORD '{bed.postgres.password}'")
    bed.sql(
        f"ALTER DATABASE {bed.database} OWNER TO {bed.database}_own; ALTER SCHEMA public OWNER TO {bed.database}_own"
    )
    bed.user = f"{bed.database}_own"
    bed.write("1_a", "CREATE TABLE a (i int)")
    bed.migrate()
    bed.write("2_b", "ALTER TABLE a ADD n int; CREATE TABLE b ()")
    bed.lock_timeout, bed.patience = "500ms", Patience(1, 0)
    with session(bed, "LOCK a"):
        assert "that this role may not look into)" in bed.fails()
    assert states(bed)[1] == (False, True, 0, True)
    with session(bed, f"SELECT pg_advisory_lock({locks.PRISMA_KEY})"):
        assert "Another migration run holds the lock 72707369, waited for 1 s: process" in bed.fails()


def test_a_lock_whose_holder_is_no_session_is_not_waited_for_without_end(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "holder", lambda cursor, key, watcher: None)
    bed.write("1_a", "CREATE TABLE a ()")
    bed.patience = Patience(0.2, 0.2)
    with session(bed, f"SELECT pg_advisory_lock({locks.PRISMA_KEY})"):
        assert "look into pg_prepared_xacts for a prepared transaction" in bed.fails()
