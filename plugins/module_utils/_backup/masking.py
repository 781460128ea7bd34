# SPDX-License-Identifier: GPL-3.0-or-later
"""Mask what must not leave production, in a copy of it that nobody has seen yet.

A rule stands for one column: ``keep``, ``null``, ``hash``, ``fixed``, or an expression of SQL. A table that has a rule
has one for each of its columns that may hold text, so that a column which a migration adds is not let through.
"""

from __future__ import annotations

import contextlib
import difflib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._backup.some_tables import parsed
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal, quote
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, listed

with contextlib.suppress(ImportError):  # connect() has said so before anything here is called
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Rules = Mapping[str, Mapping[str, object]]
FIXED = "masked"
NOTHING = "nothing was changed"

# Each table, its columns, and of each its type, whether that may hold text, is text itself, at most how long, and
# whether the column is computed. A domain, an array and a composite type hold what their parts do.
_COLUMNS = """
WITH RECURSIVE part (root, oid) AS (
    SELECT oid, oid FROM pg_type WHERE oid IN (SELECT atttypid FROM pg_attribute WHERE attnum > 0)
    UNION SELECT root, next.oid FROM part JOIN pg_type t ON t.oid = part.oid, LATERAL (
        SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL SELECT t.typelem WHERE t.typelem <> 0 AND t.typcategory = 'A'
        UNION ALL SELECT atttypid FROM pg_attribute
                  WHERE t.typtype = 'c' AND attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped) AS next (oid)),
holding AS (SELECT root, bool_or(t.typname = ANY(%(texts)s)) AS text FROM part JOIN pg_type t USING (oid) GROUP BY root)
SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), holding.text,
       coalesce(base.typname, t.typname) IN ('text', 'varchar', 'bpchar', 'citext'),
       CASE WHEN coalesce(base.typname, t.typname) IN ('varchar', 'bpchar')
            THEN nullif(greatest(a.atttypmod, t.typtypmod) - 4, -5) END,
       a.attgenerated <> ''
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type base ON t.typtype = 'd' AND base.oid = t.typbasetype
JOIN holding ON holding.root = t.oid
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, 2, a.attnum
"""
_TEXTS = ("text", "varchar", "bpchar", "char", "name", "citext", "json", "jsonb", "xml", "bytea", "hstore", "tsvector")
# A table with all that inherit from it.
_FAMILY = """
WITH RECURSIVE family (oid) AS (
    SELECT %s::regclass::oid UNION SELECT inhrelid FROM pg_inherits JOIN family ON family.oid = inhparent)
"""
# What the application does when a row is changed, as the statement that lets it be, and the one that puts it back.
_REACTIONS = f"""{_FAMILY}
SELECT format('ALTER TABLE %%s DISABLE TRIGGER %%I', tgrelid::regclass, tgname),
       format('ALTER TABLE %%s ENABLE %%s TRIGGER %%I', tgrelid::regclass,
              CASE tgenabled WHEN 'R' THEN 'REPLICA' WHEN 'A' THEN 'ALWAYS' ELSE '' END, tgname)
FROM pg_trigger JOIN family ON family.oid = tgrelid WHERE NOT tgisinternal AND tgenabled <> 'D'
UNION ALL
SELECT format('ALTER TABLE %%s DISABLE RULE %%I', ev_class::regclass, rulename),
       format('ALTER TABLE %%s ENABLE %%s RULE %%I', ev_class::regclass,
              CASE ev_enabled WHEN 'R' THEN 'REPLICA' WHEN 'A' THEN 'ALWAYS' ELSE '' END, rulename)
FROM pg_rewrite JOIN family ON family.oid = ev_class WHERE rulename <> '_RETURN' AND ev_enabled <> 'D'
"""
_VIEWS = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'm' AND relispopulated ORDER BY oid"


@dataclass(frozen=True)
class Column:
    """A column of the copy: whether its type may hold text, is text itself, and how many characters it takes."""

    name: str
    type: str
    holds_text: bool = False
    is_text: bool = False
    most: int | None = None
    computed: bool = False


@dataclass(frozen=True)
class Update:
    """What is done to one table: the expression of each column that is masked, and the columns that are kept."""

    schema: str
    table: str
    sets: Mapping[str, str]
    kept: Sequence[str] = ()

    @property
    def sql_name(self) -> str:
        return f"{quote(self.schema)}.{quote(self.table)}"

    @property
    def shown(self) -> str:
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"

    @property
    def statement(self) -> str:
        sets = ", ".join(f"{quote(column)} = {expression}" for column, expression in self.sets.items())
        return f"UPDATE {self.sql_name} SET {sets}"


def resolve(name: str, tables: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The table that a rule names, ``users`` in public or where it is alone; SlipwayError when there is none."""
    tables = list(tables)
    schema, table = parsed(name)
    found = [each for each in tables if each[1] == table and (not schema or each[0] == schema)]
    found = [each for each in found if each[0] == "public"] or found
    if len(found) == 1:
        return found[0]
    names = [f"{each[0]}.{each[1]}" for each in tables] + [each[1] for each in tables]
    close = difflib.get_close_matches(name, names, 3)
    said = (
        f"it is in {listed([each[0] for each in found])}: name the schema too"
        if found
        else f"did you mean {' or '.join(close)}?"
        if close
        else "correct or remove its rules"
    )
    raise SlipwayError(
        f"app_masking names table {name!r}, which the backup does not have as one, and {NOTHING}: {said}"
    )


def plan(rules: Rules, tables: Mapping[tuple[str, str], Sequence[Column]], salt: str) -> list[Update]:
    """What is to be done by the rules; SlipwayError when they do not fit the tables, with all that does not."""
    updates: list[Update] = []
    wrong: list[str] = []
    without: list[str] = []
    for name, of_table in rules.items():
        schema, table = resolve(name, tables)
        columns = {column.name: column for column in tables[schema, table]}
        sets: dict[str, str] = {}
        for column, rule in of_table.items():
            if column not in columns:
                close = difflib.get_close_matches(column, columns, 3)
                wrong.append(f"{table} has no column {column}" + (f" ({' or '.join(close)}?)" if close else ""))
            elif columns[column].computed and rule != "keep":
                wrong.append(f"{table}.{column} is computed from other columns, which are masked themselves")
            elif rule != "keep":
                try:
                    sets[column] = expression(columns[column], rule, salt)
                except ValueError as error:
                    wrong.append(f"{table}.{column}: {error}")
        without += [
            f"{table}.{column.name}"
            for column in columns.values()
            if column.holds_text and not column.computed and column.name not in of_table
        ]
        updates.append(Update(schema, table, sets, [column for column, rule in of_table.items() if rule == "keep"]))
    if wrong:
        raise SlipwayError(
            f"app_masking does not fit the backup, and {NOTHING}: {listed(wrong)}; correct it and run again."
        )
    if without:
        raise SlipwayError(
            f"app_masking has no rule for {counted(len(without), 'column')} that may hold text, and {NOTHING}: "
            f"{', '.join(without)}; give each one, `keep` where it may be seen outside of production."
        )
    return updates


def expression(column: Column, rule: object, salt: str) -> str:
    """The SQL for a rule; ValueError when there is none for a column of this type."""
    name = quote(column.name)
    if rule is None or rule == "null":
        return "NULL"
    if rule in ("hash", "fixed"):
        if not column.is_text:
            raise ValueError(f"{rule} makes a text, but it is of type {column.type}: give an expression of SQL")
        if rule == "hash":
            made = f"encode(sha256(convert_to({literal(salt)} || {name}::text, 'UTF8')), 'hex')"
            return f"left({made}, {column.most})" if column.most else made
        return f"CASE WHEN {name} IS NOT NULL THEN {literal(FIXED[: column.most])} END"
    if not isinstance(rule, str) or not rule.strip():
        raise ValueError(f"{rule!r} is no rule: keep, null, hash, fixed, or an expression of SQL")
    return f"({rule})"


def read(cursor: Cursor) -> dict[tuple[str, str], list[Column]]:
    """The tables of the current database with their columns."""
    cursor.execute(_COLUMNS, {"texts": list(_TEXTS)})
    found: dict[tuple[str, str], list[Column]] = {}
    for schema, table, *column in cursor.fetchall():
        found.setdefault((schema, table), []).append(Column(*column))
    return found


def mask(cursor: Cursor, rules: Rules) -> list[str]:
    """Mask the current database, a copy that is dropped when this fails; what was done. ``cursor`` is on autocommit.

    Raises SlipwayError where the rules do not fit it, before a row is written. Nothing of what was there stays in its
    files: tables and statistics are rewritten with their indexes, materialised views are filled anew.
    """
    cursor.execute("SET search_path TO public; SET row_security TO off")
    updates = plan(rules, read(cursor), secrets.token_hex(16))
    for update in updates:
        _try_out(cursor, update)
    reactions: list[tuple[str, str]] = []
    for update in updates:
        cursor.execute(_REACTIONS, [update.sql_name])
        reactions += [each for each in cursor.fetchall() if each not in reactions]
    for let_be, _ in reactions:
        cursor.execute(let_be)
    cursor.execute("BEGIN")
    cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    rows: dict[str, int] = {}
    for number, update in enumerate(updates):
        progress.tell("masking", number, len(updates), "tables")
        if update.sets:
            rows[update.shown] = _update(cursor, update)
    _said(cursor, "COMMIT", "the tables")
    for _, put_back in reactions:
        cursor.execute(put_back)
    for number, update in enumerate(updates):
        progress.tell("rewriting what was masked", number, len(updates), "tables")
        if update.sets:
            cursor.execute(f"{_FAMILY} SELECT oid::regclass::text FROM family", [update.sql_name])
            for (table,) in cursor.fetchall():
                cursor.execute(f"VACUUM FULL {table}")
    cursor.execute(_VIEWS)
    for (view,) in cursor.fetchall():
        cursor.execute(f"REFRESH MATERIALIZED VIEW {view}")
    # The statistics hold the most frequent values, also those that an automatic ANALYZE has found meanwhile.
    cursor.execute("ANALYZE")
    for catalogue in ("pg_statistic", "pg_statistic_ext_data"):
        cursor.execute(f"VACUUM FULL pg_catalog.{catalogue}")
    cursor.execute("SELECT count(*) FROM pg_largeobject_metadata")
    large = one_row(cursor)[0]
    cursor.execute("RESET search_path; RESET row_security")
    masked = [
        f"{each.shown} ({', '.join(each.sets)}; {counted(rows[each.shown], 'row')})" for each in updates if each.sets
    ]
    kept = [f"{update.shown}.{column}" for update in updates for column in update.kept]
    return [
        f"Masked {listed(masked, 20) or 'nothing'}, and rewrote the tables so that their files hold nothing of before.",
        *([f"Kept as in the backup by app_masking: {listed(kept, 20)}."] if kept else []),
        *([f"Not masked: {counted(large, 'large object')}, for which there are no rules."] if large else []),
    ]


def _try_out(cursor: Cursor, update: Update) -> None:
    """See that PostgreSQL understands each expression, before anything is written."""
    for column, made in update.sets.items():
        try:
            cursor.execute(f"SELECT {made} FROM {update.sql_name} LIMIT 0")
        except psycopg2.Error as error:
            raise SlipwayError(
                f"The rule of {update.shown}.{column} in app_masking, {made}, is no expression that PostgreSQL "
                f"understands there ({_primary(error)}), and {NOTHING}: correct it and run again."
            ) from error


def _update(cursor: Cursor, update: Update) -> int:
    cursor.execute(f"SELECT count(*) FROM {update.sql_name}")
    number = int(one_row(cursor)[0])
    _said(cursor, update.statement, update.shown)
    if cursor.rowcount != number:
        raise SlipwayError(
            f"Masking {update.shown} reached {counted(cursor.rowcount, 'row')} of {number:,}, and {NOTHING}: see which "
            "policy or rule of the table holds the others back."
        )
    return number


def _said(cursor: Cursor, statement: str, what: str) -> None:
    """Run a statement; its failure in the words of who wrote the rules, without values of rows."""
    try:
        cursor.execute(statement)
    except psycopg2.errors.UniqueViolation as error:
        raise SlipwayError(
            f"Masking {what} by app_masking makes rows equal that {error.diag.constraint_name} wants to be different, "
            f"and {NOTHING}: give its columns a rule that tells rows apart, such as hash or an expression with the "
            "key in it."
        ) from error
    except psycopg2.errors.NotNullViolation as error:
        raise SlipwayError(
            f"Masking {what} by app_masking makes {error.diag.column_name} NULL, which it may not be, and {NOTHING}: "
            "give it another rule."
        ) from error
    except psycopg2.Error as error:
        raise SlipwayError(
            f"Masking {what} by app_masking failed, and {NOTHING}: {_primary(error)}; correct the rules and run again."
        ) from error


def _primary(error: psycopg2.Error) -> str:
    return " ".join((error.diag.message_primary or str(error)).split())
