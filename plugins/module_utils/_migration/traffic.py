# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the tables of the live database are used while a rehearsal works on its copy."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import Use
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, autocommit
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A session tells the statistics of what it did once a second: what was counted in less time says nothing. Where it
# matters, it is counted for at least the second time.
LEAST, LONG_ENOUGH = 1.0, 3.0  # seconds
# PostgreSQL counts the scans that are started and the rows that are written, not statements: a join or a load of many
# rows counts more than once.
_COUNTS = """
    SELECT format('%I.%I', schemaname, relname), coalesce(seq_scan, 0) + coalesce(idx_scan, 0),
           n_tup_ins + n_tup_upd + n_tup_del
      FROM pg_stat_user_tables
"""
# The lock that this takes is waited for a second, if another session holds the table.
_SIZES = """
    SELECT name, pg_total_relation_size(oid), relname
      FROM unnest(%s) AS name LEFT JOIN pg_class ON oid = to_regclass(name)
"""
_STATEMENTS = """
    SELECT nspname FROM pg_extension JOIN pg_namespace AS schema ON schema.oid = extnamespace
     WHERE extname = 'pg_stat_statements'
"""
_QUERIES = """
    SELECT left(regexp_replace(query, '\\s+', ' ', 'g'), 100) FROM {schema}.pg_stat_statements
     WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query ~* %s
       AND query ~* '\\m(select|insert|update|delete|merge)\\M' AND query !~* '\\m(alter|create|copy|vacuum)\\M'
     GROUP BY query ORDER BY sum(calls) DESC, query LIMIT 3
"""


_SETTINGS = {"default_transaction_read_only": "on", "lock_timeout": "1s", "statement_timeout": "10s"}

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Sample:
    """What was counted by a moment, a table's scans and written rows by its name as SQL."""

    at: float
    counts: Mapping[str, tuple[int, int]]


def uses(first: Sample, second: Sample, sizes: Mapping[str, int | None]) -> dict[str, Use]:
    """The use of tables, by name, from two samples; those that have no size are not there."""
    seconds = second.at - first.at
    found = {}
    for name, size in sizes.items():
        if size is None:
            continue
        statements = writes = None
        if seconds >= LEAST and name in first.counts and name in second.counts:
            # Below 0 where the statistics were reset.
            scans, rows = (max(0, now - was) for was, now in zip(first.counts[name], second.counts[name]))
            statements, writes = round((scans + rows) / seconds, 2), round(rows / seconds, 2)
        found[name] = Use(size, statements, writes)
    return found


class Traffic:
    """Samples of a live database, taken as the first of some roles that can."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._first: Sample | None = None

    def begin(self) -> None:
        """Take the first sample."""
        self._first = self._ask(_sample)

    def end(self, tables: Collection[str], urgent: Collection[str]) -> dict[str, Use]:
        """The use of some tables since ``begin``, by name; of ``urgent`` ones also their most frequent queries.

        For those it waits until the time is long enough. A table that can't be asked about is not there.
        """
        first = self._first
        if not tables or not first:
            return {}
        if urgent:
            time.sleep(max(0.0, first.at + LONG_ENOUGH - time.monotonic()))
        return self._ask(lambda cursor: _measured(cursor, first, tables, urgent)) or {}

    def _ask(self, question: Callable[[Cursor], Answer]) -> Answer | None:
        for server in self._servers:
            # Without an answer the rehearsal goes on; only the use of the tables is not known.
            with contextlib.suppress(SlipwayError, psycopg2.Error), autocommit(server, **_SETTINGS) as cursor:
                return question(cursor)
        return None


def _sample(cursor: Cursor) -> Sample:
    cursor.execute(_COUNTS)
    return Sample(time.monotonic(), {name: (scans, rows) for name, scans, rows in cursor.fetchall()})


def _measured(cursor: Cursor, first: Sample, tables: Collection[str], urgent: Collection[str]) -> dict[str, Use]:
    second = _sample(cursor)
    cursor.execute(_SIZES, (sorted(tables),))
    asked = {name: (size, relation) for name, size, relation in cursor.fetchall()}
    found = uses(first, second, {name: size for name, (size, _) in asked.items()})
    with contextlib.suppress(psycopg2.Error):
        cursor.execute(_STATEMENTS)
        for (schema,) in cursor.fetchall():
            for name in urgent & found.keys():
                cursor.execute(_QUERIES.format(schema=quote(schema)), (f"\\m{re.escape(asked[name][1])}\\M",))
                found[name] = replace(found[name], queries=tuple(query for (query,) in cursor.fetchall()))
    return found
