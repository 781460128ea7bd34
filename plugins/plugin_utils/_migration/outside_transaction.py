# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements cannot run in a transaction, and which begin and end one."""

from __future__ import annotations

import contextlib
from typing import Any

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast.ast as node
    from pglast import enums


def transaction(statement: Any) -> str:
    """The ``Statement.transaction`` of a parsed statement."""
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


def _refused_in_transaction(statement: Any) -> bool:
    """Whether PostgreSQL is known to refuse the statement within a transaction; the server has the last word."""
    if isinstance(statement, (node.IndexStmt, node.DropStmt)):
        return bool(statement.concurrent)
    if isinstance(statement, node.ReindexStmt):
        many = (enums.ReindexObjectType.REINDEX_OBJECT_SYSTEM, enums.ReindexObjectType.REINDEX_OBJECT_DATABASE)
        return statement.kind in many or concurrently(statement)
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


def concurrently(statement: Any) -> bool:
    """Whether ``REINDEX`` has the option."""
    return any(option.defname == "concurrently" for option in statement.params or ())
