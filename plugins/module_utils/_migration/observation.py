# SPDX-License-Identifier: GPL-3.0-or-later
"""What each migration of a rehearsal does to the tables of the copy, held against the traffic of the live database."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import TABLE
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import (
    COUNTS,
    Impact,
    Limits,
    Relation,
    blocking,
    long_lock,
    touched,
    with_use,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import Finding
from ansible_collections.slipway.deploy.plugins.module_utils._migration.table_locks import LockObserver
from ansible_collections.slipway.deploy.plugins.module_utils._migration.traffic import Traffic
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, one_row

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Of what this session did, the server's statistics know a part and the session itself the rest, and only from
# PostgreSQL 15 on are the two together exact at every moment.
_EXACT = 150000
_COUNTS = """,
           pg_stat_get_numscans(class.oid) + pg_stat_get_xact_numscans(class.oid),
           pg_stat_get_tuples_returned(class.oid) + pg_stat_get_xact_tuples_returned(class.oid),
           pg_stat_get_tuples_inserted(class.oid) + pg_stat_get_xact_tuples_inserted(class.oid),
           pg_stat_get_tuples_updated(class.oid) + pg_stat_get_xact_tuples_updated(class.oid),
           pg_stat_get_tuples_deleted(class.oid) + pg_stat_get_xact_tuples_deleted(class.oid)"""
_RELATIONS = """
    SELECT class.oid, format('%%I.%%I', nspname, relname), nullif(relfilenode, 0), pg_relation_size(class.oid),
           pg_total_relation_size(class.oid){counts}
      FROM pg_class AS class JOIN pg_namespace AS schema ON schema.oid = relnamespace
     WHERE relkind IN ('r', 'p', 'm', 'v', 'f') AND relpersistence <> 't' AND relname <> %(history)s
       AND nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'slipway')
"""
# PostgreSQL 18 knows what one session has written.
_OWN_WAL = 180000
_SPACE = """
    SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint, {own}
"""
_OWN = "(SELECT wal_bytes::bigint FROM pg_stat_get_backend_wal(pg_backend_pid()))"


@dataclass(frozen=True)
class _State:
    """The copy at one moment: its tables by oid, its bytes, the log's position, what this session wrote of it."""

    relations: Mapping[int, Relation]
    size: int | None = None
    wal: int | None = None
    own_wal: int | None = None


class Observation:
    """What is seen of a rehearsal, migration by migration."""

    def __init__(self, cursor: Cursor, server: Server, limits: Limits, traffic: Traffic) -> None:
        self.locks = LockObserver(cursor, server)
        self.impacts: list[Impact] = []
        self._cursor = cursor
        self._limits = limits
        self._traffic = traffic
        self._state: _State | None = None
        self._says_space = True

    def begin(self) -> None:
        """Look at what is there before the first migration."""
        self._traffic.begin()
        try:
            self._space()
        except psycopg2.Error:  # a managed server may refuse its log's position: that is no reason to stop
            self._says_space = False
        self.settle()

    def settle(self) -> None:
        """Look anew at what is there before the next migration, after something else has read the tables."""
        self._state = self._look()

    def saw(self, migration: str, seconds: float) -> Impact:
        """Look at what a migration did that has just been applied."""
        before, after = self._state or self._look(), self._look()
        held, complete = self.locks.take()
        own = _difference(before.own_wal, after.own_wal)
        impact = Impact(
            migration=migration,
            seconds=seconds,
            wal=_difference(before.wal, after.wal) if own is None else own,
            wal_own=own is not None,
            size_before=before.size,
            size_after=after.size,
            complete=complete,
            tables=touched(held, before.relations, after.relations),
        )
        self._state = after
        self.impacts.append(impact)
        return impact

    def blocking(self) -> list[Finding]:
        """The locks that those who use the live database could not bear; what that does is noted with the impacts."""
        tables = [table for impact in self.impacts for table in impact.tables]
        urgent = {table.table for table in tables if long_lock(table, self._limits)}
        self.impacts = with_use(self.impacts, self._traffic.end({table.table for table in tables}, urgent))
        return blocking(self.impacts, self._limits)

    def _look(self) -> _State:
        counts = _COUNTS if self._cursor.connection.server_version >= _EXACT else ""
        self._cursor.execute(_RELATIONS.format(counts=counts), {"history": TABLE})
        relations = {
            oid: Relation(name, filenode, rows_size or 0, size or 0, dict(zip(COUNTS, counted)))
            for oid, name, filenode, rows_size, size, *counted in self._cursor.fetchall()
        }
        return _State(relations, *self._space() if self._says_space else ())

    def _space(self) -> tuple[int | None, ...]:
        """The bytes of the database, the log's position, and how much of it this session wrote where that is known."""
        connection = self._cursor.connection
        # Within a transaction the server does not know yet.
        idle = connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE
        own = idle and connection.server_version >= _OWN_WAL
        if own:
            self._cursor.execute("SELECT pg_stat_force_next_flush()")
        self._cursor.execute(_SPACE.format(own=_OWN if own else "NULL"))
        return one_row(self._cursor)


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
