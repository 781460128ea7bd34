# SPDX-License-Identifier: GPL-3.0-or-later
"""What the statements of a file destroy or rewrite, by the names that the database knows the things by."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.code import HOLE, statements

with contextlib.suppress(ImportError):  # the reader of the files says so
    import pglast.ast as node
    from pglast import enums
    from pglast.stream import RawStream

# Schema, table (or what else lies in a schema) and column; empty where there is none.
_Name = tuple[str, str, str]
# It exists, though the file alone does not tell under which name the database knows it.
_EXISTS: _Name = ("", "", "")


class Destructions:
    """Finds them in the statements of one file, which are to be given in their order.

    A name that the file has given to something is led back to the one before it. What the file itself has made is no
    loss.
    """

    def __init__(self) -> None:
        self._before: dict[_Name, _Name | None] = {}
        self._renamed: set[tuple[str, str]] = set()
        self._path_changed = False

    def of(self, statement: Any, sql: str, place: str) -> list[Destruction]:
        """What a parsed statement, whose text is ``sql``, does to what exists at that point."""
        found = [each for query in _queries(statement) for each in self._of_one(query, place)]
        if isinstance(statement, node.DoStmt):
            # What can't be known of code is seen by what it does, in the rehearsal.
            found += [each for inner in statements(statement) if inner for each in self.of(inner, "", place)]
        self._remember(statement, sql)
        return found

    def _of_one(self, statement: Any, place: str) -> list[Destruction]:
        if isinstance(statement, node.DropStmt):
            return self._of_drop(statement, place)
        if isinstance(statement, node.DropdbStmt):
            database = quote(statement.dbname or "")
            return [Destruction(place, f"drops the database {database}", "database", database)]
        if isinstance(statement, node.DropOwnedStmt):
            return [Destruction(place, "drops what a role owns")]
        if isinstance(statement, node.TruncateStmt):
            return [each for relation in statement.relations or () for each in self._emptied(relation, place)]
        if isinstance(statement, node.DeleteStmt) and _every_row(statement):
            return self._emptied(statement.relation, place)
        if isinstance(statement, node.UpdateStmt) and _every_row(statement):
            schema, table, _ = _of_relation(statement.relation)
            nulled = [target.name or "" for target in statement.targetList or () if _is_null(target.val)]
            return [
                each
                for column in nulled
                for each in self._found(place, "column", (schema, table, column), "empties the column {}")
            ]
        if isinstance(statement, node.MergeStmt) and any(
            clause.commandType == enums.CmdType.CMD_DELETE for clause in statement.mergeWhenClauses or ()
        ):
            return self._found(place, "table", _of_relation(statement.relation), "deletes from the table {}")
        if isinstance(statement, node.AlterTableStmt):
            name = _of_relation(statement.relation)
            return [found for command in statement.cmds or () for found in self._of_column(command, name, place)]
        return []

    def _of_drop(self, statement: Any, place: str) -> list[Destruction]:
        of = enums.ObjectType
        data: dict[Any, tuple[str, str]] = {
            of.OBJECT_TABLE: ("table", "table"),
            of.OBJECT_FOREIGN_TABLE: ("table", "table"),
            of.OBJECT_SCHEMA: ("schema", "schema"),
        }
        # Columns may depend on these. Nothing that holds data does on others, such as triggers.
        above: dict[Any, tuple[str, str]] = {
            of.OBJECT_ACCESS_METHOD: ("access method", ""),
            of.OBJECT_AGGREGATE: ("aggregate", "function"),
            of.OBJECT_COLLATION: ("collation", ""),
            of.OBJECT_DOMAIN: ("domain", "type"),
            of.OBJECT_EXTENSION: ("extension", "extension"),
            of.OBJECT_FDW: ("foreign-data wrapper", ""),
            of.OBJECT_FOREIGN_SERVER: ("server", ""),
            of.OBJECT_FUNCTION: ("function", "function"),
            of.OBJECT_LANGUAGE: ("language", ""),
            of.OBJECT_MATVIEW: ("materialized view", "table"),
            of.OBJECT_OPCLASS: ("operator class", ""),
            of.OBJECT_OPERATOR: ("operator", ""),
            of.OBJECT_OPFAMILY: ("operator family", ""),
            of.OBJECT_PROCEDURE: ("procedure", "function"),
            of.OBJECT_ROUTINE: ("routine", "function"),
            of.OBJECT_SEQUENCE: ("sequence", "table"),
            of.OBJECT_TYPE: ("type", "type"),
            of.OBJECT_VIEW: ("view", "table"),
        }
        word, object_type = data.get(statement.removeType, ("", ""))
        what = f"drops the {word} " + "{}"
        if not word and statement.behavior == enums.DropBehavior.DROP_CASCADE:
            word, object_type = above.get(statement.removeType, ("", ""))
            what = f"drops the {word} " + "{} and what depends on it"
        if not word:
            return []
        found = []
        for dropped in statement.objects or ():
            name = _of_object(dropped, object_type)
            found += self._found(place, object_type, name, what)
            if not self._before.get(name, name):  # what it has hidden comes forth
                del self._before[name]
        return found

    def _of_column(self, command: Any, table: _Name, place: str) -> list[Destruction]:
        name = (*table[:2], command.name)
        if command.subtype == enums.AlterTableType.AT_DropColumn:
            return self._found(place, "column", name, "drops the column {}")
        if command.subtype == enums.AlterTableType.AT_AlterColumnType:
            type_ = RawStream()(command.def_.typeName)
            what = f"rewrites the table {_sql(table)} to give the column {quote(command.name)} the type {type_}"
            return self._found(place, "column", name, what, "" if command.def_.raw_default else type_)
        return []

    def _emptied(self, relation: Any, place: str) -> list[Destruction]:
        return self._found(place, "table", _of_relation(relation), "empties the table {}")

    def _found(self, place: str, object_type: str, name: _Name, what: str, type_: str = "") -> list[Destruction]:
        """The destruction of what has this name now, which is to be put into ``what``, if it was there before."""
        before = self._name_before(name)
        if before is None:
            return []
        what = what.replace("{}", _sql(name).replace(f'"{HOLE}"', "…"))
        if before == _EXISTS or any(HOLE in part for part in name):
            return [Destruction(place, what)]
        return [Destruction(place, what, object_type, _sql((*before[:2], "")), before[2], type_)]

    def _name_before(self, name: _Name) -> _Name | None:
        """What the database knows it by; None for what the file has made."""
        if name in self._before:
            return self._before[name]
        schema, table, column = name
        if name[1:] in self._renamed:  # with its schema here and without it there, or the reverse
            return _EXISTS
        if not column and not (schema and table):
            return _EXISTS if table and self._path_changed else name
        above = self._name_before((schema, table, "") if column else (schema, "", ""))
        if not above or above == _EXISTS:
            return above
        before = (above[0], above[1] or table, column)
        return self._before.get(before) or before

    def _remember(self, statement: Any, sql: str) -> None:
        if isinstance(statement, (node.RenameStmt, node.AlterObjectSchemaStmt)):
            for old, new in _renamed(statement):
                self._before[new] = self._name_before(old)
                if self._before[new] and new[1]:
                    self._renamed.add(new[1:])
        for made in _made(statement):
            self._before[made] = None
        of = enums.TransactionStmtKind
        back = (of.TRANS_STMT_ROLLBACK, of.TRANS_STMT_ROLLBACK_TO)
        if isinstance(statement, node.TransactionStmt) and statement.kind in back:
            self._before = {name: before for name, before in self._before.items() if before}
        if _changes_path(statement, sql):
            self._path_changed = True
            self._before = {name: before for name, before in self._before.items() if name[0]}


def _queries(statement: Any) -> Iterator[Any]:
    """A statement with those in its WITH clause and the one that it explains, copies or prepares."""
    yield statement
    for part in (getattr(statement, "query", None), getattr(statement, "selectStmt", None)):
        if isinstance(part, node.Node):
            yield from _queries(part)
    clause = getattr(statement, "withClause", None)
    for each in clause.ctes if clause else ():
        yield from _queries(each.ctequery)


def _every_row(statement: Any) -> bool:
    """Whether no condition tells rows apart."""
    todo = [statement.whereClause]
    while todo:
        part = todo.pop()
        if isinstance(part, (node.ColumnRef, node.CurrentOfExpr)):
            return False
        if isinstance(part, tuple):
            todo += part
        elif isinstance(part, node.Node):
            todo += [getattr(part, name) for name in part]
    return True


def _is_null(value: Any) -> bool:
    if isinstance(value, node.MultiAssignRef):
        values = getattr(value.source, "args", None)
        value = values[(value.colno or 1) - 1] if values else None
    while isinstance(value, node.TypeCast):
        value = value.arg
    return isinstance(value, node.A_Const) and bool(value.isnull)


def _renamed(statement: Any) -> list[tuple[_Name, _Name]]:
    """The name of a table, type, column or schema before and after a statement; none for what is of no account."""
    of = enums.ObjectType
    if isinstance(statement, node.AlterObjectSchemaStmt):
        old = _of_relation(statement.relation) if statement.relation else _of_object(statement.object)
        return [(old, (statement.newschema or "", old[1], ""))]
    if statement.renameType == of.OBJECT_SCHEMA:
        return [((statement.subname, "", ""), (statement.newname, "", ""))]
    if statement.renameType in (of.OBJECT_COLUMN, of.OBJECT_ATTRIBUTE):
        table = _of_relation(statement.relation)[:2]
        return [((*table, statement.subname), (*table, statement.newname))]
    if statement.renameType in (of.OBJECT_TYPE, of.OBJECT_DOMAIN):
        old = _of_object(statement.object)
        return [(old, (old[0], statement.newname, ""))]
    relations = (of.OBJECT_TABLE, of.OBJECT_FOREIGN_TABLE, of.OBJECT_VIEW, of.OBJECT_MATVIEW, of.OBJECT_SEQUENCE)
    if statement.renameType in relations:
        old = _of_relation(statement.relation)
        return [(old, (old[0], statement.newname, ""))]
    return []


def _made(statement: Any) -> list[_Name]:
    """What a statement makes that was not there before."""
    if getattr(statement, "if_not_exists", False):
        return []
    if isinstance(statement, node.AlterTableStmt):
        table = _of_relation(statement.relation)[:2]
        added = enums.AlterTableType.AT_AddColumn
        return [
            (*table, each.def_.colname)
            for each in statement.cmds or ()
            if each.subtype == added and not each.missing_ok
        ]
    if isinstance(statement, node.CreateSchemaStmt):
        return [(statement.schemaname or getattr(statement.authrole, "rolename", "") or "", "", "")]
    if isinstance(statement, (node.CreateEnumStmt, node.CreateRangeStmt)):
        return [_of_object(statement.typeName)]
    if isinstance(statement, node.CreateDomainStmt):
        return [_of_object(statement.domainname)]
    if isinstance(statement, node.SelectStmt):
        return [_of_relation(statement.intoClause.rel)] if statement.intoClause else []
    relations: dict[Any, Any] = {
        node.CompositeTypeStmt: lambda: statement.typevar,
        node.CreateSeqStmt: lambda: statement.sequence,
        node.CreateStmt: lambda: statement.relation,
        node.CreateTableAsStmt: lambda: statement.into.rel,
    }
    relation = relations.get(type(statement))
    return [_of_relation(relation())] if relation else []


def _changes_path(statement: Any, sql: str) -> bool:
    """Whether names without a schema may mean something else from here on."""
    if isinstance(statement, node.VariableSetStmt):
        return statement.name == "search_path" or statement.kind == enums.VariableSetKind.VAR_RESET_ALL
    return isinstance(statement, (node.SelectStmt, node.DoStmt)) and "search_path" in sql.lower()


def _of_relation(relation: Any) -> _Name:
    return relation.schemaname or "", relation.relname, ""


def _of_object(found: Any, object_type: str = "table") -> _Name:
    found = getattr(found, "names", None) or getattr(found, "objname", None) or found
    parts = [part.sval for part in (found if isinstance(found, tuple) else (found,))]
    return (parts[-1], "", "") if object_type == "schema" else ("".join(parts[-2:-1]), parts[-1], "")


def _sql(name: _Name) -> str:
    return ".".join(quote(part) for part in name if part)
