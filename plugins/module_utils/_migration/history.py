# SPDX-License-Identifier: GPL-3.0-or-later
"""Prisma's history of migrations: the table ``_prisma_migrations``, its rows, and what else is in the schema.

Every statement names the schema, because a migration may have changed the search path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._access.own_schema import read_only_for_others
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

TABLE = "_prisma_migrations"

COLUMNS = (
    "id", "checksum", "finished_at", "migration_name", "logs", "rolled_back_at", "started_at", "applied_steps_count",
)  # fmt: skip
_COLUMNS = """
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             TIMESTAMPTZ,
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          TIMESTAMPTZ,
    started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count     INTEGER NOT NULL DEFAULT 0
"""

ROW_LOST = "its row in _prisma_migrations can not be written: somebody else changed the history"
# A row that is not written makes an error of it, so that nothing else of the transaction is kept either.
_CHECKED = f"""
    WITH written AS ({{}} RETURNING 1) SELECT CASE count(*) WHEN 1 THEN 1 ELSE (
        '{ROW_LOST}' || left(count(*)::text, 0)
    )::int END FROM written"""
_SURVEY = """
    SELECT (SELECT relkind FROM pg_class WHERE relnamespace = schema.oid AND relname = %(table)s),
           (SELECT row_security_active(oid) FROM pg_class WHERE relnamespace = schema.oid AND relname = %(table)s),
           (SELECT count(*) FROM pg_class AS class
             WHERE relnamespace = schema.oid AND relkind = 'r' AND NOT relispartition AND relname <> %(table)s
               AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = class.oid
                                                       AND deptype = 'e'))
      FROM pg_namespace AS schema WHERE nspname = %(schema)s
"""


@dataclass(frozen=True)
class Row:
    """One row of the history. A migration may have several."""

    id: str
    checksum: str
    finished_at: datetime | None
    name: str
    logs: str | None
    rolled_back_at: datetime | None
    started_at: datetime
    steps: int

    @property
    def failed(self) -> bool:
        """Started, and neither finished nor marked as rolled back."""
        return self.finished_at is None and self.rolled_back_at is None

    @property
    def state(self) -> str:
        """In a word what became of it."""
        return "failed" if self.failed else "rolled back" if self.rolled_back_at else "applied"

    def result(self) -> dict[str, Any]:
        """The row as a module returns it; times in UTC, without fractions of a second."""
        moments = {"started": self.started_at, "finished": self.finished_at, "rolled_back": self.rolled_back_at}
        told = {name: moment and moment.astimezone(timezone.utc) for name, moment in moments.items()}
        shown = {name: f"{moment:%Y-%m-%d %H:%M:%S}" if moment else None for name, moment in told.items()}
        return {"migration": self.name, "state": self.state, **shown, "steps": self.steps}


@dataclass(frozen=True)
class History:
    """What the database says: the rows in the order of their start, or None without the table; other tables' number."""

    rows: tuple[Row, ...] | None
    other_tables: int = 0

    @property
    def applied(self) -> tuple[str, ...]:
        """The names of the migrations that are applied, in the order in which they were."""
        finished = [row.name for row in self.rows or () if row.finished_at and not row.rolled_back_at]
        return tuple(dict.fromkeys(finished))


class Expression(str):
    """SQL to stand in a row for a value."""


NOW = Expression("clock_timestamp()")
STARTED = Expression("now()")


class HistoryTable:
    """The history of one schema, read and written through a cursor of the caller's."""

    def __init__(self, schema: str) -> None:
        self.schema = schema
        self.quoted = f"{quote(schema)}.{TABLE}"
        self._template = self.quoted.replace("%", "%%")  # psycopg2 takes a % beside parameters for one of them

    def read(self, cursor: Cursor) -> History:
        """Read everything; nothing needs to exist. Raises SlipwayError for a table not Prisma's or not readable."""
        cursor.execute(_SURVEY, {"schema": self.schema, "table": TABLE})
        found = cursor.fetchone()
        if found is None:
            return History(None)
        relkind, hides_rows, other_tables = found
        if relkind is None:
            return History(None, other_tables)
        if hides_rows:
            raise SlipwayError(
                f"Row security on the history {self.schema}.{TABLE} hides rows from the role: run as its owner."
            )
        try:
            cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM {self.quoted} ORDER BY started_at, id")
        except psycopg2.errors.UndefinedColumn as error:
            raise SlipwayError(
                f"The table {self.schema}.{TABLE} is not Prisma's history of migrations ({_first_line(error)}): "
                "rename it, or name another schema."
            ) from error
        except psycopg2.errors.InsufficientPrivilege as error:
            raise SlipwayError(
                f"The role may not read the history {self.schema}.{TABLE} ({_first_line(error)}): "
                "run as the role that owns it."
            ) from error
        return History(tuple(Row(*row) for row in cursor.fetchall()), other_tables)

    def create(self, cursor: Cursor) -> None:
        """Create schema and table where they are missing, in the caller's transaction."""
        cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", (self.schema,))
        if not cursor.rowcount:
            cursor.execute(f"CREATE SCHEMA {quote(self.schema)}")
        cursor.execute(f"CREATE TABLE {self.quoted} ({_COLUMNS})")
        read_only_for_others(cursor, self.quoted)

    def insert(self, row: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The statement and its parameters that write a new row."""
        marks = ", ".join(_mark(name, value) for name, value in row.items())
        return _CHECKED.format(f"INSERT INTO {self._template} ({', '.join(row)}) VALUES ({marks})"), row

    def update(self, row_id: str, changes: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """The statement and its parameters that change a row, which nobody may have marked as rolled back meanwhile."""
        settings = ", ".join(f"{name} = {_mark(name, value)}" for name, value in changes.items())
        update = f"UPDATE {self._template} SET {settings} WHERE id = %(id)s AND rolled_back_at IS NULL"
        return _CHECKED.format(update), {**changes, "id": row_id}


def applied(cursor: Cursor, schema: str) -> tuple[str, ...]:
    """The names of the migrations that the history in ``schema`` has as applied, in the order in which they were."""
    return HistoryTable(schema).read(cursor).applied


def _mark(name: str, value: object) -> str:
    return value if isinstance(value, Expression) else f"%({name})s"


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]
