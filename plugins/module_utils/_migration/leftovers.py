# SPDX-License-Identifier: GPL-3.0-or-later
"""What a statement outside a transaction leaves behind when it fails or its process dies, and how to begin it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script, Statement, locate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.progress import Progress

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_INDEXES = """
    SELECT indisvalid, format('%%I.%%I', nspname, relname)
      FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE {condition}
"""
_OF_TABLE = _INDEXES.format(condition="indrelid = to_regclass(%(table)s) AND relname = coalesce(%(index)s, relname)")
_OF_REINDEX = _INDEXES.format(condition="NOT indisvalid AND relname ~ '_cc(new|old)[0-9]*$'")
_BEING_BUILT = """
    SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE relation = to_regclass(%(table)s) AND mode = 'ShareUpdateExclusiveLock' AND pid <> pg_backend_pid()
       AND usesysid IS NOT NULL
"""

RESOLVE = (
    "look at the database, then use slipway.deploy.migration_resolve (slipway.deploy.resolve): state applied when all "
    "of the file is done, rolled_back when you have undone it."
)

# After an interruption, the answers of the server that mean: this was done before.
_DONE = {
    "drop index": "42704",
    "detach": "42P01",
    "create database": "42P04",
    "drop database": "3D000",
    "create tablespace": "42710",
    "drop tablespace": "42704",
}


def unrepeatable(statement: Statement) -> bool:
    """Whether the statement may have committed a part of its work before it failed, as a procedure can."""
    return _is(statement, "once")


def obstacle(name: str, script: Script, progress: Progress) -> str:
    """Why a half-applied migration can't be resumed, as a sentence; empty when it can."""
    if not progress.fits(script):
        return (
            f"The migration {name!r} is half-applied and the first {progress.done} statements of {script.path}, which "
            "are, were edited since: restore them; the rest may be changed."
        )
    if progress.running and unrepeatable(script.statements[progress.done]):
        line, column = locate(script.text, script.statements[progress.done].start)
        error = f" ({progress.error.splitlines()[0]})" if progress.error else ""
        return (
            f"The migration {name!r} is half-applied: its statement at {script.path}:{line}:{column} commits by itself "
            f"and was not finished, so that it can't be repeated safely{error}: {RESOLVE}"
        )
    return ""


def harmless_waiter(statement: Statement) -> bool:
    """Whether nobody who reads or writes the table has to wait behind this statement."""
    return _is(statement, "index", "reindex", "drop index")


def says_done(statement: Statement, code: str | None) -> bool:
    """Whether an SQLSTATE, got at a second attempt, says that the first one had finished its work."""
    return bool(statement.about) and _DONE.get(statement.about[0]) == code


def completion(statement: Statement, code: str | None) -> str:
    """What to send instead, when the first half of a statement is there already."""
    return statement.about[1] if _is(statement, "detach") and code == "55000" else ""


def known(cursor: Cursor, statement: Statement) -> tuple[str, ...]:
    """The indexes that are there before a statement begins and that it must not be taken to have made.

    An invalid index by the very name that is to be created is the rest of somebody's failed attempt, and not among
    them, unless it is being built at this moment.
    """
    found = _indexes(cursor, statement)
    if _is(statement, "index") and statement.about[2]:
        cursor.execute(_BEING_BUILT, {"table": statement.about[1]})
        if not cursor.rowcount:
            found = [each for each in found if each.valid]
    return tuple(each.name for each in found)


def clear(cursor: Cursor, statement: Statement, before: tuple[str, ...]) -> bool:
    """Remove what an earlier attempt left, and tell whether that attempt had in truth finished its work."""
    found = [each for each in _indexes(cursor, statement) if each.name not in before]
    for each in found:
        if not each.valid:
            cursor.execute(f"DROP INDEX CONCURRENTLY {each.name}")
    return _is(statement, "index") and any(each.valid for each in found)


class _Index(NamedTuple):
    valid: bool
    name: str


def _indexes(cursor: Cursor, statement: Statement) -> list[_Index]:
    if _is(statement, "index"):
        cursor.execute(_OF_TABLE, {"table": statement.about[1], "index": statement.about[2] or None})
    elif _is(statement, "reindex"):
        cursor.execute(_OF_REINDEX, {})
    else:
        return []
    return [_Index(*row) for row in cursor.fetchall()]


def _is(statement: Statement, *words: str) -> bool:
    return bool(statement.about) and statement.about[0] in words
