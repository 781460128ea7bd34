# SPDX-License-Identifier: GPL-3.0-or-later
"""What migrations did to the rows of a rehearsed copy, whatever their statements look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import TABLE
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Of a table up to so many bytes every value is looked at, and up to so many the rows are counted. Of a larger one, only
# what PostgreSQL's own statistics say counts.
READ = 8 * 1024 * 1024
COUNTED = 512 * 1024 * 1024
_MOST_COLUMNS = 400  # a query gives 1,664 values

# What is hidden by row-level security can't be counted. This session's counts are its own until it has sent them to the
# server's statistics, where those before PostgreSQL 15 show them some time later.
_TABLES = """
    SELECT class.oid, format('%%I.%%I', nspname, relname), relpersistence,
           CASE WHEN row_security_active(class.oid) OR NOT has_table_privilege(class.oid, 'SELECT') THEN NULL
                ELSE pg_relation_size(class.oid) END,
           pg_stat_get_tuples_deleted(class.oid) + pg_stat_get_xact_tuples_deleted(class.oid),
           pg_stat_get_tuples_updated(class.oid) + pg_stat_get_xact_tuples_updated(class.oid),
           (SELECT json_object_agg(attnum, attname) FROM pg_attribute
             WHERE attrelid = class.oid AND attnum > 0 AND NOT attisdropped)
      FROM pg_class AS class JOIN pg_namespace AS schema ON schema.oid = relnamespace
     WHERE relkind = 'r' AND relpersistence <> 't' AND nspname !~ '^pg_' AND relname <> %(history)s
       AND nspname NOT IN ('information_schema', 'slipway')
       AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = class.oid
                                               AND deptype = 'e')
"""


@dataclass(frozen=True)
class Values:
    """Of a column: its name, in how many rows it is neither null nor '', and the ends of the hashes of its values.

    A column of which nothing was read has None for all but its name.
    """

    name: str
    filled: int | None = None
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True)
class Rows:
    """Of a table: its name as SQL, how it is stored, its rows (None where they were not counted), its columns."""

    name: str
    persistence: str
    rows: int | None
    columns: Mapping[str, Values] = field(default_factory=dict)
    deleted: int = 0
    updated: int = 0


RowsByTable = Mapping[int, Rows]  # by oid


def read_rows(cursor: Cursor) -> RowsByTable:
    """What the tables of the database hold, in an autocommit connection or an open transaction."""
    cursor.execute(_TABLES, {"history": TABLE})
    found = cursor.fetchall()
    exact = cursor.connection.server_version >= 150000
    reading = {}
    for oid, name, persistence, size, deleted, updated, names in found:
        columns = {number: Values(column) for number, column in (names or {}).items()}
        rows = None
        if size is not None and size <= COUNTED:
            quoted = list(columns.items())[:_MOST_COLUMNS] if size <= READ else []
            rows, columns = _count(cursor, name, dict(quoted), columns)
        moved = (deleted, updated) if exact and rows is None else (0, 0)
        reading[oid] = Rows(name, persistence, rows, columns, *moved)
    return reading


def _count(
    cursor: Cursor, table: str, to_read: Mapping[str, Values], columns: dict[str, Values]
) -> tuple[int, dict[str, Values]]:
    parts = ["count(*)"]
    for each in to_read.values():
        text = '"' + each.name.replace('"', '""') + '"::text'
        parts += [f"count(nullif({text}, ''))", f"min(hashtext({text}))", f"max(hashtext({text}))"]
    cursor.execute(f"SELECT {', '.join(parts)} FROM ONLY {table}")
    rows, *values = one_row(cursor)
    for at, (number, each) in enumerate(to_read.items()):
        columns[number] = Values(each.name, *values[3 * at : 3 * at + 3])
    return rows, columns


def effects(before: RowsByTable, after: RowsByTable) -> list[str]:
    """What was lost between two readings, a phrase each."""
    by_name = {table.name: table for table in after.values()}
    found = []
    for oid, old in before.items():
        new = after.get(oid) or by_name.get(old.name)  # one that was made anew counts by its name
        if new is None:
            if old.rows != 0:
                held = f" with {counted(old.rows, 'row')}" if old.rows else ""
                found.append(f"loses the table {old.name}{held}")
            continue
        found += _of_rows(old, new)
        found += _of_columns(old, new, same=oid in after)
        if (old.persistence, new.persistence) == ("p", "u"):
            found.append(f"makes the table {new.name} UNLOGGED, so that a crash of the server empties it")
    return found


def _of_rows(old: Rows, new: Rows) -> list[str]:
    if old.rows is not None and new.rows is not None:
        if new.rows < old.rows:
            return [f"loses {old.rows - new.rows:,} of {counted(old.rows, 'row')} of the table {old.name}"]
        return []
    found = []
    if new.deleted > old.deleted:
        found.append(f"deletes {counted(new.deleted - old.deleted, 'row')} of the table {old.name}")
    if new.updated > old.updated:
        found.append(f"changes {counted(new.updated - old.updated, 'row')} of the table {old.name}")
    return found


def _of_columns(old: Rows, new: Rows, same: bool) -> list[str]:
    by_name = {column.name: column for column in new.columns.values()}
    found = []
    for number, was in old.columns.items():
        column = new.columns.get(number) if same else by_name.get(was.name)
        if column is None:
            if was.filled != 0:
                held = f", which held a value in {counted(was.filled, 'row')}" if was.filled else ""
                found.append(f"loses the column {was.name} of the table {old.name}{held}")
        elif was.filled is not None and column.filled is not None and old.rows and new.rows and new.rows >= old.rows:
            if column.filled < was.filled:
                lost = counted(was.filled - column.filled, "row")
                found.append(f"loses the values of the column {was.name} in {lost} of the table {old.name}")
            elif was.low != was.high and column.low == column.high:
                found.append(f"gives the column {was.name} one value in all rows of the table {old.name}")
    return found
