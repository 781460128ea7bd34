# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a database is to be seeded.

A database without rows may be seeded, and so may one whose rows are those that its migrations wrote. Nobody but them
has written to a new database until a deploy has succeeded; it carries a mark, a line of its comment, which is in no
dump and in no copy. Just before the seed command starts, the mark becomes a digest of the numbers of rows. While it
still is that, the command of an earlier run has written nothing; when it is not, the database was seeded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._schema.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

MARK = "slipway.seed"
NEW = "new"


def oid(cursor: Cursor) -> int:
    """What tells the current database from a copy of it under the same name."""
    cursor.execute("SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = current_database()")
    return int(one_row(cursor)[0])


def find_mark(comment: str, oid: int) -> str:
    """The mark in the comment of the database with this oid, or ''. One that was copied from another is none."""
    found = re.search(rf"^{MARK}={oid}:(\S+)$", comment, re.MULTILINE)
    return found.group(1) if found else ""


def set_mark(comment: str, oid: int, mark: str) -> str:
    """The comment with this mark in place of any, or with '' without one; what else is there stays."""
    lines = [line for line in comment.splitlines() if not line.startswith(f"{MARK}=")]
    return "\n".join([*lines, *([f"{MARK}={oid}:{mark}"] if mark else [])])


def digest(tables: Collection[Table]) -> str:
    """A digest of the numbers of rows. No table more or less without rows changes it."""
    rows = sorted((table.schema, table.name, table.rows) for table in tables if table.rows != 0)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Decision:
    """Whether to seed, and why or why not: the second half of a sentence. ``over``: the mark has had its day."""

    due: bool
    why: str
    over: bool = False


def decide(tables: Collection[Table], mark: str) -> Decision:
    """Whether a database with these tables and this mark is to be seeded."""
    full = [table for table in tables if table.rows]
    hidden = [table for table in tables if table.hidden]
    if not full and not hidden:
        return Decision(True, "no table holds a row")
    if mark == NEW or (mark == digest(tables) and not hidden):
        return Decision(True, "its rows are those that its migrations wrote")
    if not full:
        table = hidden[0]
        return Decision(
            False,
            f"whether it is empty can't be told of table {table.schema}.{table.name}, since {table.hidden}: give the "
            "administrating role BYPASSRLS",
        )
    listed = ", ".join(f"{table.schema}.{table.name} ({table.rows})" for table in full[:5])
    more = f" and {len(full) - 5} more" if len(full) > 5 else ""
    earlier = "an earlier run has seeded it: " if mark else ""
    return Decision(False, f"{earlier}these tables hold rows: {listed}{more}", over=bool(mark))
