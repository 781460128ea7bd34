# SPDX-License-Identifier: GPL-3.0-or-later
"""Empties a database under the locks of a migration run, when its backup is proved: all of it or nothing."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import comment
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import require_backup
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import END_THEM, Watch, held
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    roll_back,
    sql_errors,
    working,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist
from ansible_collections.slipway.deploy.plugins.module_utils._schema import empty
from ansible_collections.slipway.deploy.plugins.module_utils._schema.tables import Table, tables

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# SQLSTATEs: locks that were not to be had in time, a deadlock, the time of a statement.
_BUSY = ("55P03", "40P01", "57014")


@dataclass(frozen=True)
class Emptied:
    """What goes: the tables with their rows, and all of it in numbers."""

    tables: list[Table]
    counts: str

    @property
    def rows(self) -> int:
        return sum(table.rows or 0 for table in self.tables)


def look(cursor: Cursor, database: str, owner: str) -> Emptied:
    """What emptying the database would drop. SlipwayError where something is in the way."""
    contents = empty.read(cursor, owner)
    empty.insist_on_own(contents, database, owner)
    return Emptied(tables(cursor), contents.counts())


def reset(
    server: Server,
    schema: str,
    owner: str,
    backup_directory: str | None,
    finish: Callable[[Cursor], None],
    patience: Patience,
    lock_timeout: str,
) -> None:
    """Empty the database in one transaction, in which ``finish`` writes what is true of it from then on.

    SlipwayError where there is no proved backup of this run, where another run of migrations works, where others hold
    locks on tables for too long, and where something is in the way. A copy that was made for a rehearsal has no backup.
    """
    doing = f"Emptying database {server.database!r}"
    with working(server, schema) as cursor, sql_errors(doing), held(cursor, patience.lock_wait, server):
        if comment(cursor).partition("\n")[0] != MARK:
            require_backup.insist_unless_empty(cursor, schema, backup_directory, require_backup.began())
        pid, deadline = cursor.connection.get_backend_pid(), time.monotonic() + patience.lock_retry
        with Watch(server, pid) as watch:
            while not _attempt(cursor, owner, finish, lock_timeout):
                if time.monotonic() >= deadline:
                    who = ", ".join(map(str, watch.blockers)) or "sessions that have ended by now"
                    raise SlipwayError(
                        f"Database {server.database!r} was not emptied, since others kept its tables locked for "
                        f"{patience.lock_retry:g} s: {who}. Nothing was dropped: {END_THEM}"
                    )
                time.sleep(random.uniform(0.2, 1.0))


def _attempt(cursor: Cursor, owner: str, finish: Callable[[Cursor], None], lock_timeout: str) -> bool:
    """Try once, and return whether the locks were to be had. Nothing is kept of an attempt that fails."""
    try:
        cursor.execute("BEGIN")
        empty.empty(cursor, owner, lock_timeout)
        finish(cursor)
        insist()
        cursor.execute("COMMIT")
    except psycopg2.Error as error:
        if error.pgcode not in _BUSY:
            raise
        roll_back(cursor)
        return False
    return True
