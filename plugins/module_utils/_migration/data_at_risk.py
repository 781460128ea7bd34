# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that lose data or rewrite a table, told apart from those that only look so by what the database holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A function of that name in any schema will do.
_EXISTS = {
    "table": "SELECT to_regclass(%(name)s) IS NOT NULL",
    "column": "SELECT FROM pg_attribute WHERE attrelid = to_regclass(%(name)s) AND attname = %(column)s",
    "type": "SELECT to_regtype(%(name)s) IS NOT NULL",
    "function": "SELECT FROM pg_proc WHERE proname = ANY (parse_ident(%(name)s))",
    "schema": "SELECT to_regnamespace(%(name)s) IS NOT NULL",
    "extension": "SELECT FROM pg_extension WHERE extname = ANY (parse_ident(%(name)s))",
    "database": "SELECT FROM pg_database WHERE datname = ANY (parse_ident(%(name)s))",
}
_COLUMN = """
    SELECT atttypid::regtype::text, format_type(atttypid, atttypmod), coalesce(to_regtype(%(type)s)::text, ''),
           EXISTS (SELECT FROM pg_cast WHERE castsource = atttypid AND casttarget = to_regtype(%(type)s)
                                         AND castmethod = 'b')
      FROM pg_attribute WHERE attrelid = to_regclass(%(name)s) AND attname = %(column)s
"""


@dataclass(frozen=True)
class Destruction:
    """What a statement would do, in words, at a place; to what the database knows by ``name``, which is SQL.

    ``object_type`` says what that is: ``table`` (also a view or sequence), ``column``, ``type``, ``function``,
    ``schema``, ``extension``, ``database``. Without it, the thing is taken to exist. With ``type``, the statement gives
    the column this type.
    """

    place: str
    what: str
    object_type: str = ""
    name: str = ""
    column: str = ""
    type: str = ""


def destroys_data(cursor: Cursor, found: Destruction) -> bool:
    """Whether it does harm to this database: what it acts on exists, and a new type means rewriting the table."""
    return not found.object_type or (_exists(cursor, found) and _rewritten(cursor, found))


def rewrites(old: str, new: str) -> bool:
    """Whether a column must be rewritten for another length or precision of the same type, such as ``varchar(20)``."""
    if old == new:
        return False
    before, after = _modifiers(old), _modifiers(new)
    if not after:
        return False
    if not before or before[1:] != after[1:]:
        return True
    return after[0] < before[0]


def _modifiers(type_: str) -> list[int]:
    match = re.search(r"\(([\d, -]+)\)", type_)
    return [int(part) for part in match.group(1).split(",")] if match else []


def _exists(cursor: Cursor, found: Destruction) -> bool:
    cursor.execute(_EXISTS[found.object_type], {"name": found.name, "column": found.column})
    row = cursor.fetchone()
    return row is not None and row != (False,)


def _rewritten(cursor: Cursor, found: Destruction) -> bool:
    if not found.type:
        return True
    cursor.execute(_COLUMN, {"name": found.name, "column": found.column, "type": found.type})
    row = cursor.fetchone()
    if row is None:
        return True
    old_base, old, new_base, coercible = row
    if old_base != new_base:
        return not coercible
    return rewrites(old, found.type)
