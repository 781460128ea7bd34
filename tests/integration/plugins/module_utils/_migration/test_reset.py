# SPDX-License-Identifier: GPL-3.0-or-later
"""A database is emptied as a whole or not at all, whoever uses it, and not without its backup."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY
from ansible_collections.slipway.deploy.plugins.module_utils._migration.reset import look, reset
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor
from support.access import Site, make_site

PATIENCE = Patience(lock_wait=0.2, lock_retry=0.5)


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    """A copy, which needs no backup."""
    found = make_site(postgres, tmp_path)
    found.execute(f"GRANT CREATE ON SCHEMA public TO {quote(found.roles.owner)}")
    found.execute_as(found.roles.owner, "CREATE TABLE mine (id int); INSERT INTO mine VALUES (1), (2)")
    found.execute(f"COMMENT ON DATABASE {quote(found.database)} IS '{MARK}'")
    return found


def server(site: Site) -> Server:
    more = {"ssl_mode": "prefer", "ca_cert": None, "login_host": "", "connect_timeout": 10}
    return Server.from_params({**site.postgres.login(site.database), **more})


def emptied(site: Site, patience: Patience = PATIENCE, lock_timeout: str = "200ms") -> None:
    def finish(cursor: Cursor) -> None:
        cursor.execute(f"COMMENT ON DATABASE {quote(site.database)} IS 'emptied'")

    reset(server(site), "public", site.roles.owner, None, finish, patience, lock_timeout)


def tables(site: Site) -> list[tuple[object, ...]]:
    return site.execute("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")


def test_what_would_go(site: Site) -> None:
    with contextlib.closing(site.postgres.connect(site.database)) as opened, opened.cursor() as cursor:
        seen = look(cursor, site.database, site.roles.owner)
        assert (seen.counts, seen.rows, [table.name for table in seen.tables]) == ("1 table", 2, ["mine"])
        site.execute("CREATE TABLE by_hand ()")
        with pytest.raises(SlipwayError, match=r"table public\.by_hand of role postgres"):
            look(cursor, site.database, site.roles.owner)


def test_without_a_backup_it_is_left_as_it_is(site: Site) -> None:
    site.execute(f"COMMENT ON DATABASE {quote(site.database)} IS 'slipway.environment=test'")
    with pytest.raises(SlipwayError, match=r"^No directory of backups is named"):
        emptied(site)
    assert tables(site) == [("mine",)]
    site.execute_as(site.roles.owner, "DROP TABLE mine")
    emptied(site)  # there is nothing to lose


def refused(cursor: Cursor) -> None:
    cursor.execute("SELECT * FROM pg_authid")  # as the owner, which may not


def test_what_fails_at_the_end_leaves_all_as_it_was(site: Site) -> None:
    site.execute(
        "CREATE SCHEMA watched; CREATE FUNCTION watched.refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE 'not here'; END $$"
    )
    with pytest.raises(SlipwayError, match=r"function watched\.refuse\(\) of role postgres"):
        emptied(site)
    site.execute("DROP SCHEMA watched CASCADE")
    with pytest.raises(SlipwayError, match=r"^Emptying database .* failed: permission denied"):
        reset(server(site), "public", site.roles.owner, None, refused, PATIENCE, "1s")
    assert tables(site) == [("mine",)]
    assert site.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_who_uses_a_table_is_named_and_waited_for(site: Site) -> None:
    with contextlib.closing(site.connect(site.roles.owner)) as reader, reader.cursor() as reading:
        reading.execute("BEGIN; SELECT * FROM mine")
        with pytest.raises(SlipwayError) as caught:
            emptied(site)
        said = str(caught.value)
        assert said.startswith(
            f"Database {site.database!r} was not emptied, since others kept its tables locked for 0.5 s"
        )
        assert f"process {reader.get_backend_pid()} (unnamed application, role {site.roles.owner}, idle in" in said
        assert "Nothing was dropped: run again when these sessions have ended" in said
        assert tables(site) == [("mine",)]
        threading.Timer(1, reading.execute, ["COMMIT"]).start()
        emptied(site, Patience(lock_wait=0.2, lock_retry=20))
    assert tables(site) == []
    assert ("comment", "", "", "emptied") in site.rights


def test_readers_are_held_up_for_the_timeout_at_most(site: Site) -> None:
    with contextlib.closing(site.connect(site.roles.owner)) as holder, holder.cursor() as holding:
        holding.execute("BEGIN; SELECT * FROM mine")
        thread = threading.Thread(target=_try, args=[site])
        thread.start()
        longest = 0.0
        while thread.is_alive():
            began = time.monotonic()
            site.execute_as(site.roles.owner, "SELECT * FROM mine")
            longest = max(longest, time.monotonic() - began)
        thread.join()
    assert longest < 1.5


def _try(site: Site) -> None:
    with contextlib.suppress(SlipwayError):
        emptied(site, Patience(lock_wait=0.2, lock_retry=2), "100ms")


def test_another_run_is_waited_for(site: Site) -> None:
    with contextlib.closing(site.postgres.connect(site.database)) as other, other.cursor() as held:
        held.execute("SELECT pg_advisory_lock(%s)", (PRISMA_KEY,))
        with pytest.raises(
            SlipwayError, match=rf"^Another migration run holds the lock {PRISMA_KEY}, waited for 0\.2 s"
        ):
            emptied(site)
    assert tables(site) == [("mine",)]
