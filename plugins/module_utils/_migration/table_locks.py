# SPDX-License-Identifier: GPL-3.0-or-later
"""Which locks on relations a session takes at its work, and for how long it holds them."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import mode
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script
from ansible_collections.slipway.deploy.plugins.module_utils._migration.session import Observer
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, connection

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Lock = tuple[int, str]  # a relation's oid, and the mode

# What the script has set, such as the search_path, is no matter. The catalogues' own relations have lower numbers.
_LOCKS = """
    SELECT DISTINCT relation, mode FROM pg_catalog.pg_locks
     WHERE pid = coalesce({pid}, pg_catalog.pg_backend_pid()) AND locktype = 'relation' AND granted
       AND relation >= 16384
"""
# Statements that take less than so many seconds together are not told apart by when they took their locks.
_TOGETHER = 0.01
_FIRST, _LAST, _SHARE = 0.002, 0.5, 0.02  # seconds between two looks, at first and at last; else a part of what it took
# After a look, a transaction can't be given another isolation any more.
_ISOLATION = re.compile(r"\bset\s+(local\s+)?transaction", re.IGNORECASE)


class LockObserver(Observer):
    """Reads the locks of a session in that session, before each transaction ends; a second one looks while a statement
    runs outside of any.

    A lock counts as taken when the statement began that took it. Of one that was taken twice, the longer time counts.
    """

    looks = True

    def __init__(self, cursor: Cursor, server: Server) -> None:
        self._cursor = cursor
        self._server = server
        self._held: dict[Lock, float] = {}
        self._complete = True
        self._earlier: set[Lock] = set()  # of what came before in the same transaction, which are not taken again
        self._taken: dict[Lock, float] = {}
        self._since = 0.0
        self._waits = False

    def take(self) -> tuple[dict[Lock, float], bool]:
        """The locks since this was asked last, by relation and mode, in seconds; and whether these are all of them."""
        held, complete = self._held, self._complete
        self._held, self._complete = {}, True
        return held, complete

    def began(self, script: Script) -> None:
        """A transaction begins, or what stands for one in an open transaction."""
        inside = self._cursor.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE
        self._earlier = self._read(self._cursor) if inside else set()
        self._complete = self._complete and not self._earlier
        self._taken, self._since = {}, time.monotonic()
        self._waits = bool(_ISOLATION.search(script.text))

    def ran(self) -> None:
        """A statement has run in it."""
        if not self._waits and time.monotonic() - self._since >= _TOGETHER:
            self.ends()

    def ends(self) -> None:
        """It is about to end."""
        for lock in self._read(self._cursor) - self._earlier:
            self._taken.setdefault(lock, self._since)
        self._since = time.monotonic()

    def ended(self) -> None:
        """It has ended, and its locks are free."""
        now = time.monotonic()
        for lock, taken in self._taken.items():
            self._hold(lock, now - taken)
        self._taken = {}

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """A statement runs outside of any transaction, for a ``with`` block."""
        pid = self._cursor.connection.get_backend_pid()
        with contextlib.ExitStack() as stack:
            try:
                opened = stack.enter_context(connection(self._server, "slipway migrations locks"))
                opened.autocommit = True
                stack.enter_context(self._watched(stack.enter_context(opened.cursor()), pid))
            except SlipwayError:
                self._complete = False
            yield

    @contextlib.contextmanager
    def _watched(self, cursor: Cursor, pid: int) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._look, args=(cursor, pid, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _look(self, cursor: Cursor, pid: int, done: threading.Event) -> None:
        began = looked = time.monotonic()
        taken: dict[Lock, float] = {}
        try:
            while not done.wait(min(max((looked - began) * _SHARE, _FIRST), _LAST)):
                found = self._read(cursor, pid)
                now = time.monotonic()
                for lock in taken.keys() - found:
                    self._hold(lock, now - taken.pop(lock))
                for lock in found - taken.keys():
                    taken[lock] = looked
                looked = now
        except psycopg2.Error:
            self._complete = False
        for lock, since in taken.items():
            self._hold(lock, time.monotonic() - since)

    def _hold(self, lock: Lock, seconds: float) -> None:
        self._held[lock] = max(self._held.get(lock, 0.0), seconds)

    def _read(self, cursor: Cursor, pid: int | None = None) -> set[Lock]:
        cursor.execute(_LOCKS.format(pid="NULL" if pid is None else pid))
        return {(relation, mode(name)) for relation, name in cursor.fetchall()}
