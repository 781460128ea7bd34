# SPDX-License-Identifier: GPL-3.0-or-later
"""What single statements mean for the engine, read from PostgreSQL's own parse tree."""

from __future__ import annotations

import contextlib
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration_destructive import Destruction
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import quote

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast.ast as node
    from pglast import enums
    from pglast.stream import RawStream


def kind(statement: Any) -> str:
    """The ``Statement.kind`` of a parsed statement."""
    if isinstance(statement, node.TransactionStmt):
        of = enums.TransactionStmtKind
        kinds: dict[Any, str] = {
            of.TRANS_STMT_BEGIN: "begin",
            of.TRANS_STMT_START: "begin",
            of.TRANS_STMT_COMMIT: "commit",
            of.TRANS_STMT_ROLLBACK: "rollback",
            of.TRANS_STMT_PREPARE: "prepare",
            of.TRANS_STMT_COMMIT_PREPARED: "alone",
            of.TRANS_STMT_ROLLBACK_PREPARED: "alone",
        }
        return kinds.get(statement.kind, "")
    return "alone" if _refused_in_transaction(statement) else ""


def from_client(statement: Any) -> bool:
    """Whether the statement copies from or to the client, which only psql can do."""
    return isinstance(statement, node.CopyStmt) and statement.filename is None


def gives_up_locks(statement: Any) -> bool:
    """Whether the statement releases every advisory lock of the session."""
    return isinstance(statement, node.DiscardStmt) and statement.target == enums.DiscardMode.DISCARD_ALL


def about(statement: Any) -> tuple[str, ...]:
    """The ``Statement.about`` of a parsed statement, with names as SQL."""
    if isinstance(statement, node.IndexStmt) and statement.concurrent:
        return "index", _name(statement.relation), statement.idxname or ""
    if isinstance(statement, node.ReindexStmt):
        return ("reindex",)
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


def tables(statement: Any) -> tuple[str, ...]:
    """The tables, or for ``DROP INDEX`` the indexes, that a parsed statement changes, as SQL."""
    if isinstance(statement, node.DropStmt):
        kinds = (enums.ObjectType.OBJECT_TABLE, enums.ObjectType.OBJECT_INDEX)
        return tuple(_dotted(found) for found in statement.objects or ()) if statement.removeType in kinds else ()
    if isinstance(statement, node.TruncateStmt):
        return tuple(_name(relation) for relation in statement.relations or ())
    relation = getattr(statement, "relation", None)
    return (_name(relation),) if relation else ()


def destructions(statement: Any, place: str) -> list[Destruction]:
    """What a parsed statement, which stands at ``place``, destroys or rewrites if that exists."""
    if isinstance(statement, node.DropStmt):
        kinds: dict[Any, str] = {
            enums.ObjectType.OBJECT_TABLE: "table",
            enums.ObjectType.OBJECT_FOREIGN_TABLE: "table",
            enums.ObjectType.OBJECT_SCHEMA: "schema",
        }
        word = kinds.get(statement.removeType)
        names = [_dotted(found) for found in statement.objects or ()] if word else []
        return [Destruction(place, f"drops the {word} {name}", word or "", name) for name in names]
    if isinstance(statement, node.TruncateStmt):
        names = [_name(relation) for relation in statement.relations or ()]
        return [Destruction(place, f"empties the table {name}", "table", name) for name in names]
    if isinstance(statement, node.DeleteStmt) and statement.whereClause is None:
        name = _name(statement.relation)
        return [Destruction(place, f"empties the table {name}", "table", name)]
    if isinstance(statement, node.DropdbStmt):
        name = quote(statement.dbname or "")
        return [Destruction(place, f"drops the database {name}", "database", name)]
    if isinstance(statement, node.AlterTableStmt):
        name = _name(statement.relation)
        return [found for command in statement.cmds or () for found in _of_column(command, name, place)]
    return []


def _of_column(command: Any, name: str, place: str) -> list[Destruction]:
    column = command.name
    if command.subtype == enums.AlterTableType.AT_DropColumn:
        return [Destruction(place, f"drops the column {name}.{quote(column)}", "column", name, column)]
    if command.subtype == enums.AlterTableType.AT_AlterColumnType:
        type_ = RawStream()(command.def_.typeName)
        what = f"rewrites the table {name} to give the column {quote(column)} the type {type_}"
        return [Destruction(place, what, "column", name, column, type_)]
    return []


def _dotted(name: Any) -> str:
    return ".".join(quote(part.sval) for part in (name if isinstance(name, tuple) else (name,)))


def _name(relation: Any) -> str:
    return ".".join(quote(part) for part in (relation.schemaname, relation.relname) if part)


def _refused_in_transaction(statement: Any) -> bool:
    """Whether PostgreSQL is known to refuse the statement within a transaction; the server has the last word."""
    if isinstance(statement, (node.IndexStmt, node.DropStmt)):
        return bool(statement.concurrent)
    if isinstance(statement, node.ReindexStmt):
        many = (enums.ReindexObjectType.REINDEX_OBJECT_SYSTEM, enums.ReindexObjectType.REINDEX_OBJECT_DATABASE)
        return statement.kind in many or any(option.defname == "concurrently" for option in statement.params or ())
    if isinstance(statement, node.VacuumStmt):
        return bool(statement.is_vacuumcmd)
    if isinstance(statement, node.ClusterStmt):
        return statement.relation is None
    if isinstance(statement, node.AlterTableStmt):
        return any(getattr(command.def_, "concurrent", False) for command in statement.cmds or ())
    return isinstance(
        statement,
        (
            node.AlterSystemStmt,
            node.CreatedbStmt,
            node.DropdbStmt,
            node.CreateTableSpaceStmt,
            node.DropTableSpaceStmt,
        ),
    )
