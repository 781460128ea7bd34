# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks between migration runs, and the sessions that keep a migration from its locks on tables."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    LOGIN_SPEC,
    Server,
    connection,
    one_row,
    roll_back,
)
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Prisma Migrate's own advisory lock, and the one that only Slipway's runs know.
PRISMA_KEY = 72707369
SLIPWAY_KEY = 5_273_491_070_771_285

_HOLDER = """
    SELECT pid, application_name, coalesce(client_addr::text, 'the local socket'), usename,
           coalesce(extract(epoch FROM clock_timestamp() - backend_start)::float, 0)
      FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE locktype = 'advisory' AND granted AND objsubid = 1
       AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (classid::bigint << 32) + objid::bigint = %s AND pid <> %s
"""
# pg_blocking_pids stops the lock manager for a moment: it is asked only about a session that does wait.
_BLOCKERS = """
    SELECT blocking.pid, coalesce(blocker.application_name, ''), coalesce(blocker.state, ''),
           left(coalesce(blocker.query, ''), 200), coalesce(extract(epoch FROM clock_timestamp()
               - coalesce(blocker.xact_start, blocker.query_start, blocker.backend_start))::float, 0),
           coalesce(blocker.usename, '')
      FROM pg_stat_activity AS waiter, unnest(pg_blocking_pids(waiter.pid)) AS blocking(pid)
      LEFT JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid
     WHERE waiter.pid = %s AND waiter.wait_event_type = 'Lock'
"""
# Manual section 28.4. VACUUM and ANALYZE are no statements of migrations that take long.
_PROGRESS = """
    SELECT 'building an index: ' || split_part(phase, ':', 1), blocks_done, blocks_total
      FROM pg_stat_progress_create_index WHERE pid = %(pid)s
    UNION ALL SELECT 'rewriting a table', heap_blks_scanned, heap_blks_total
      FROM pg_stat_progress_cluster WHERE pid = %(pid)s
    LIMIT 1
"""
_POLL = 0.1
_GONE = 1.0  # seconds after which a holder that can't be seen is not one that has just ended


# What to do about those who are in the way, where they are named.
END_THEM = (
    "run again when these sessions have ended, or end them, as their own role or as a superuser, with SELECT "
    "pg_terminate_backend(PROCESS)."
)

WATCH_SPEC = {"watch_login": LOGIN_SPEC}


def watcher_from_params(server: Server, params: Mapping[str, Any]) -> Server | None:
    """The server with a role that may see the sessions of all, out of a module's parameters (see ``WATCH_SPEC``)."""
    return server.by(params["watch_login"]) if params["watch_login"] else None


@dataclass(frozen=True)
class Holder:
    """A session that holds a lock; ``seconds`` is the age of its connection, 0 where the role may not see it."""

    pid: int
    application: str
    address: str
    role: str
    seconds: float

    def __str__(self) -> str:
        name = self.application or "unnamed application"
        age = f", connected for {self.seconds:.0f} s" if self.seconds else ""
        return f"process {self.pid} ({name}, role {self.role}, from {self.address}{age})"


def holder(cursor: Cursor, key: int, watcher: Server | None = None) -> Holder | None:
    """The session that holds a session's advisory lock, other than the cursor's own, as ``watcher`` sees it."""
    asked = (key, cursor.connection.get_backend_pid())
    if watcher:
        harmless = contextlib.suppress(SlipwayError, psycopg2.Error)
        with harmless, connection(watcher, "slipway migrations watch") as opened, opened.cursor() as other:
            other.execute(_HOLDER, asked)
            row = other.fetchone()
            return Holder(*row) if row else None
    cursor.execute(_HOLDER, asked)
    row = cursor.fetchone()
    return Holder(*row) if row else None


def acquire(cursor: Cursor, key: int, wait: float, watcher: Server | None = None) -> None:
    """Take a session's advisory lock within ``wait`` seconds, or raise SlipwayError naming its holder.

    It is polled for: a session that waits in PostgreSQL for a lock holds up every concurrent index build.
    """
    deadline = time.monotonic() + wait
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
        if one_row(cursor)[0]:
            return
        if time.monotonic() >= deadline:
            found = holder(cursor, key, watcher)
            if found:
                raise SlipwayError(
                    f"Another migration run holds the lock {key}, waited for {wait:g} s: {found}; wait for it to end "
                    f"and run again, or end it as role {found.role} or as a superuser with SELECT "
                    f"pg_terminate_backend({found.pid})."
                )
            if time.monotonic() >= deadline + _GONE:
                raise SlipwayError(
                    f"Something that is no session holds the lock {key}, waited for {wait:g} s: look into "
                    "pg_prepared_xacts for a prepared transaction, end it, and run again."
                )
        time.sleep(_POLL)


def release(cursor: Cursor, key: int) -> None:
    """Give a session's advisory lock back, also out of a failed transaction. A lost connection has done so already."""
    if not cursor.connection.closed:
        roll_back(cursor)
        cursor.execute("SELECT pg_advisory_unlock(%s)", (key,))


@contextlib.contextmanager
def held(cursor: Cursor, wait: float, watcher: Server | None = None) -> Iterator[None]:
    """Hold the locks against other runs, Slipway's and Prisma's, for a ``with`` block.

    ``watcher`` may see the sessions of all roles, to name who has them.
    """
    acquire(cursor, SLIPWAY_KEY, wait, watcher)
    try:
        acquire(cursor, PRISMA_KEY, wait, watcher)
        yield
    finally:
        release(cursor, PRISMA_KEY)
        release(cursor, SLIPWAY_KEY)


@dataclass(frozen=True)
class Blocker:
    """A session that another one waits for. ``seconds`` is the age of its transaction, 0 where it can't be seen."""

    pid: int
    application: str
    state: str
    query: str
    seconds: float
    role: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction (see pg_prepared_xacts)"
        if not self.seconds:
            whose = f" of role {self.role}" if self.role else ""
            return f"process {self.pid} (a session{whose} that this role may not look into)"
        name = self.application or "unnamed application"
        doing = f"{self.state} for {self.seconds:.0f} s: {' '.join(self.query.split())}"
        return f"process {self.pid} ({name}, role {self.role}, {doing})"

    def result(self) -> dict[str, Any]:
        """The blocker as a module returns it."""
        return asdict(self)


class Watch:
    """Looks, over a connection of its own, who blocks a session; it opens it only when the work takes a while."""

    def __init__(self, server: Server, pid: int, watcher: Server | None = None) -> None:
        self.watcher = watcher
        self._servers = [watcher, server] if watcher else [server]
        self._pid = pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.blockers: tuple[Blocker, ...] = ()
        self.doing = ""  # what the session is at, for its progress
        self._waited = 0.0

    def forget(self) -> None:
        """Begin anew, for another migration."""
        self.blockers = ()

    @property
    def named(self) -> list[tuple[str, str]]:
        """Those who block, for the message of a failure."""
        return [("BLOCKED BY", str(blocker)) for blocker in self.blockers]

    def take_waited(self) -> float:
        """Seconds that the session has waited since this was asked last."""
        waited, self._waited = self._waited, 0.0
        return waited

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        if self._stop.wait(_POLL):
            return
        # Without this connection, or this right, the migration goes on; only the names of its blockers are missing.
        for server in self._servers:
            with contextlib.suppress(SlipwayError, psycopg2.Error):
                self._look_as(server)
                break

    def _look_as(self, server: Server) -> None:
        with connection(server, "slipway migrations watch") as opened, opened.cursor() as cursor:
            opened.autocommit = True
            while not self._stop.wait(_POLL):
                cursor.execute(_BLOCKERS, (self._pid,))
                found = tuple(Blocker(*row) for row in cursor.fetchall())
                self.blockers = found or self.blockers
                self._waited += _POLL if found else 0
                if self.doing:
                    self._tell(cursor, bool(found))

    def _tell(self, cursor: Cursor, waiting: bool) -> None:
        """Tell how far the session's statement has come, as far as the server knows that."""
        cursor.execute(_PROGRESS, {"pid": self._pid})
        what, done, total = cursor.fetchone() or ("", 0, 0)
        doing = f"{self.doing}, waiting for a lock" if waiting else f"{self.doing}, {what}" if what else self.doing
        progress.tell(doing, done, total, "blocks" if what else "")
