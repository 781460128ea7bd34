# SPDX-License-Identifier: GPL-3.0-or-later
"""What single statements mean for the engine, read from PostgreSQL's own parse tree."""

from __future__ import annotations

import contextlib
import re
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import PRISMA_KEY, SLIPWAY_KEY
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.outside_transaction import concurrently

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast
    import pglast.ast as node
    from pglast import enums

_KEYS = f"{PRISMA_KEY}|{SLIPWAY_KEY}"
_UNLOCK = re.compile(rf"\bpg_advisory_unlock(?:_all\s*\(|\s*\(\s*(?:{_KEYS})\b)", re.IGNORECASE)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def masked(sql: str) -> str:
    """A text that is parsed in the same way, with each character in its place, but quickly.

    The time that pglast takes grows with the square of the number of characters beyond ASCII.
    """
    return sql if sql.isascii() else _NOT_ASCII.sub("_", sql)


def trees(sql: str) -> list[tuple[int, int, Any]]:
    """The statements of a text: where each begins and ends, in characters, and its tree.

    The names in the trees are the true ones; the strings may be masked. Raises pglast's ParseError.
    """
    known = masked(sql)
    try:
        parsed = pglast.parse_sql(known)
        if not sql.isascii():
            known = _with_names(sql, known)
    except pglast.parser.ParseError:  # the message is to be about the text itself
        parsed = pglast.parse_sql(sql)
        known = sql
    found = []
    for raw in parsed:
        start = raw.stmt_location or 0
        end = start + raw.stmt_len if raw.stmt_len else len(sql)
        part = known[start:end]
        tree = raw.stmt if part.isascii() or known is sql else pglast.parse_sql(part)[0].stmt
        found.append((start, end, tree))
    return found


def _with_names(sql: str, masked_: str) -> str:
    """The masked text with the names as they are."""
    parts, at = [], 0
    for token in pglast.scan(masked_):
        if token.name in ("IDENT", "UIDENT"):
            parts += [masked_[at : token.start], sql[token.start : token.end + 1]]
            at = token.end + 1
    return "".join([*parts, masked_[at:]])


def from_client(statement: Any) -> bool:
    """Whether the statement copies from or to the client, which only psql can do."""
    return isinstance(statement, node.CopyStmt) and statement.filename is None


def gives_up_locks(statement: Any, sql: str) -> bool:
    """Whether the statement, whose text is ``sql``, releases the advisory locks that keep other runs away."""
    discards = isinstance(statement, node.DiscardStmt) and statement.target == enums.DiscardMode.DISCARD_ALL
    return discards or _UNLOCK.search(sql) is not None


def about(statement: Any) -> tuple[str, ...]:
    """The ``Statement.about`` of a parsed statement, with names as SQL."""
    if isinstance(statement, node.IndexStmt) and statement.concurrent:
        return "index", _name(statement.relation), statement.idxname or ""
    if isinstance(statement, node.ReindexStmt) and concurrently(statement):
        return ("reindex",)
    if sets_for_session(statement):
        return ("set",)
    if leaves_session_clean(statement):
        return ("leaves session clean",)
    if isinstance(statement, node.DropStmt) and statement.concurrent:
        return ("drop index",)
    if isinstance(statement, node.AlterTableStmt):
        for command in statement.cmds or ():
            if getattr(command.def_, "concurrent", False):
                partition = _name(command.def_.name)
                return "detach", f"ALTER TABLE {_name(statement.relation)} DETACH PARTITION {partition} FINALIZE"
    words: dict[Any, str] = {
        node.CreatedbStmt: "create database",
        node.DropdbStmt: "drop database",
        node.CreateTableSpaceStmt: "create tablespace",
        node.DropTableSpaceStmt: "drop tablespace",
        node.CallStmt: "once",
        node.DoStmt: "once",
    }
    word = words.get(type(statement))
    return (word,) if word else ()


def leaves_session_clean(statement: Any) -> bool:
    """Whether the statement is quick and leaves nothing in the session: it runs no code but that of event triggers."""
    if isinstance(statement, (node.CreateStmt, node.CreateSeqStmt)):
        relation: Any = statement.relation if isinstance(statement, node.CreateStmt) else statement.sequence
        return bool(relation.relpersistence != "t" and relation.schemaname != "pg_temp")
    if isinstance(statement, node.CreateSchemaStmt):
        return not statement.schemaElts
    return isinstance(statement, (node.CommentStmt, node.CompositeTypeStmt, node.CreateEnumStmt))


def sets_for_session(statement: Any) -> bool:
    """Whether the statement sets something, a role too, beyond the end of its transaction, as ``SET`` does."""
    if isinstance(statement, node.VariableSetStmt):
        return not statement.is_local and not (statement.name or "").startswith("TRANSACTION")
    if isinstance(statement, node.SelectStmt) and not statement.fromClause:
        calls = [target.val for target in statement.targetList or () if isinstance(target.val, node.FuncCall)]
        return any((call.funcname or ())[-1].sval == "set_config" for call in calls)
    return False


def tables(statement: Any) -> tuple[str, ...]:
    """The tables, or for ``DROP INDEX`` the indexes, that a parsed statement changes, as SQL."""
    if isinstance(statement, node.DropStmt):
        kinds = (enums.ObjectType.OBJECT_TABLE, enums.ObjectType.OBJECT_INDEX)
        return tuple(_dotted(found) for found in statement.objects or ()) if statement.removeType in kinds else ()
    if isinstance(statement, node.TruncateStmt):
        return tuple(_name(relation) for relation in statement.relations or ())
    relation = getattr(statement, "relation", None)
    return (_name(relation),) if relation else ()


def _dotted(name: Any) -> str:
    return ".".join(quote(part.sval) for part in (name if isinstance(name, tuple) else (name,)))


def _name(relation: Any) -> str:
    return ".".join(quote(part) for part in (relation.schemaname, relation.relname) if part)
