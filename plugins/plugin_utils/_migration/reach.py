# SPDX-License-Identifier: GPL-3.0-or-later
"""How far statements reach: what they change outside their database, judged by their parse trees."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Reach
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.code import (
    is_a,
    is_code,
    language,
    statements,
    walk,
)

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast.ast as node
    from pglast import enums

# Functions that act on the whole server, or beyond it.
_FAR = re.compile(
    r"""dblink\w* | lo_export | pg_reload_conf | pg_rotate_logfile | pg_promote | pg_(?:terminate|cancel)_backend
      | pg_wal_replay_(?:pause|resume) | pg_switch_wal | pg_backup_(?:start|stop) | pg_file_\w+
      | pg_(?:create|copy|drop|sync)_(?:logical_|physical_)?replication_slots? | pg_replication_slot_advance
      | pg_logical_slot_get_\w+ | pg_replication_origin_(?:create|drop|advance)""",
    re.VERBOSE,
)
_JOBS = "cron"  # pg_cron's schema


class Reaches:
    """Judges the statements of a directory's files, which are to be given in their order.

    A function is judged where it is called, or where it runs as a trigger, not where it is created.
    """

    def __init__(self) -> None:
        self._functions: dict[str, Reach] = {}
        self._triggers: dict[str, Reach] = {}

    def of(self, statement: Any, sql: str = "") -> Reach | None:
        """How far a parsed statement reaches; None for one that changes its database alone.

        Its text, when given, saves looking for calls in a tree that can't hold any of account.
        """
        if is_a(statement, node.CreateFunctionStmt):
            self._keep(self._functions, statement.funcname[-1].sval, self._of_code(statement))
            return None
        if is_a(statement, node.DoStmt):
            return self._of_code(statement)
        if is_a(statement, node.CreateTrigStmt) and statement.relation:
            found = self._functions.get(statement.funcname[-1].sval)
            if found:
                self._keep(self._triggers, statement.relation.relname, found)
            return None
        found = _by_kind(statement) or self._by_trigger(statement)
        return found or (self._by_call(statement) if not sql or self._names_one(sql) else None)

    @staticmethod
    def _keep(known: dict[str, Reach], name: str, found: Reach | None) -> None:
        if found:
            known[name] = replace(found, only=False)
        else:
            known.pop(name, None)

    def _of_code(self, statement: Any) -> Reach | None:
        trusted = not language(statement).endswith("u")
        farthest: Reach | None = None
        for each in statements(statement):
            if each is None:
                found: Reach | None = Reach("runs code that can't be judged", transactional=trusted)
            elif is_code(each) and not is_a(each, node.DoStmt):
                found = self._of_code(each)
            else:
                found = self.of(each)
                found = found and Reach(
                    f"runs code that {found.what.removeprefix('runs code that ')}", found.transactional
                )
            if found and (farthest is None or (farthest.transactional and not found.transactional)):
                farthest = found
        return farthest

    def _names_one(self, sql: str) -> bool:
        return bool(_FAR.search(sql.lower())) or any(name in sql for name in (_JOBS, *self._functions))

    def _by_trigger(self, statement: Any) -> Reach | None:
        writes = is_a(statement, node.InsertStmt, node.UpdateStmt, node.DeleteStmt, node.MergeStmt, node.CopyStmt)
        if writes and statement.relation:
            return self._triggers.get(statement.relation.relname)
        if is_a(statement, node.TruncateStmt):
            tables = [each.relname for each in statement.relations]
            return next((self._triggers[name] for name in tables if name in self._triggers), None)
        return None

    def _by_call(self, statement: Any) -> Reach | None:
        farthest: Reach | None = None
        for call in (each for each in walk(statement) if is_a(each, node.FuncCall)):
            *schema, name = (part.sval for part in call.funcname)
            found = self._functions.get(name)
            if _FAR.fullmatch(name) or schema == [_JOBS]:
                shown = ".".join([*schema, name]) if schema == [_JOBS] else name
                return Reach(f"calls {shown}, which acts beyond the database")
            if found and (farthest is None or (farthest.transactional and not found.transactional)):
                farthest = Reach(f"calls {name}, which {found.what}", found.transactional)
        return farthest


def _by_kind(statement: Any) -> Reach | None:
    shared: dict[Any, str] = {
        enums.ObjectType.OBJECT_DATABASE: "changes a database",
        enums.ObjectType.OBJECT_PARAMETER_ACL: "changes who may set a parameter",
        enums.ObjectType.OBJECT_ROLE: "changes a role",
        enums.ObjectType.OBJECT_TABLESPACE: "changes a tablespace",
    }
    if is_a(statement, node.RenameStmt):
        # A database's lock would keep everybody out of it for as long as the transaction lasts.
        transactional = statement.renameType != enums.ObjectType.OBJECT_DATABASE
        return _shared(shared.get(statement.renameType, ""), transactional)
    if is_a(statement, node.AlterOwnerStmt):
        return _shared(shared.get(statement.objectType, ""))
    if is_a(statement, node.CommentStmt, node.GrantStmt, node.SecLabelStmt):
        return _shared(shared.get(statement.objtype, ""))
    if is_a(statement, node.TransactionStmt):
        of = enums.TransactionStmtKind
        prepared = statement.kind in (of.TRANS_STMT_COMMIT_PREPARED, of.TRANS_STMT_ROLLBACK_PREPARED)
        return Reach("ends a transaction that was prepared before") if prepared else None
    if is_a(statement, node.CopyStmt) and statement.is_program:
        return Reach("runs a program on the server")
    if is_a(statement, node.CopyStmt) and statement.filename and not statement.is_from:
        return Reach("writes a file on the server")
    if is_a(statement, node.ReassignOwnedStmt):
        return Reach("changes whose objects are whose", transactional=True)
    if is_a(statement, node.DropOwnedStmt):
        return Reach("drops what a role owns", transactional=True)
    undone: dict[Any, str] = {
        node.CreateRoleStmt: "creates a role",
        node.AlterRoleStmt: "changes a role",
        node.AlterRoleSetStmt: "changes a role",
        node.DropRoleStmt: "drops a role",
        node.GrantRoleStmt: "changes who is a member of a role",
        node.AlterDatabaseStmt: "changes a database",
        node.AlterDatabaseRefreshCollStmt: "changes a database",
        node.AlterDatabaseSetStmt: "changes a database",
        node.AlterTableSpaceOptionsStmt: "changes a tablespace",
    }
    lasting: dict[Any, str] = {
        node.AlterSystemStmt: "changes the server's settings",
        node.CreatedbStmt: "creates a database",
        node.DropdbStmt: "drops a database",
        node.CreateTableSpaceStmt: "creates a tablespace",
        node.DropTableSpaceStmt: "drops a tablespace",
        node.CreateSubscriptionStmt: "subscribes to another server",
        node.AlterSubscriptionStmt: "changes a subscription to another server",
        node.DropSubscriptionStmt: "ends a subscription to another server",
    }
    return _shared(undone.get(type(statement), "")) or _shared(lasting.get(type(statement), ""), transactional=False)


def _shared(what: str, transactional: bool = True) -> Reach | None:
    return Reach(what, transactional, only=True) if what else None
