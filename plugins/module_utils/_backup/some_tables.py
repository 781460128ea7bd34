# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore some tables of a backup into a schema of their own in the live database, and touch nothing else there.

The backup is restored beside and compared. In that copy the tables are moved into the schema, and what ties them to the
rest is taken from them: foreign keys to other tables, triggers, rules, row security. Then the schema alone is dumped
and sent to the live database in one transaction.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._backup import archive, play, store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restore import Restore
from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import Script, Statement
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    autocommit,
    connection,
    one_row,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import NAME_BYTES
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, listed

with contextlib.suppress(ImportError):  # connect() has said so before anything here is called
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

Table = tuple[str, str]  # schema and name
_IDENTIFIER = re.compile(r'"(?:[^"]|"")+"|[^."]+')

# The tables and all that inherit from them, each once.
_FAMILY = """
WITH RECURSIVE family (oid) AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN unnest(%s::text[], %s::text[]) AS wanted (schema, name) ON (n.nspname, c.relname) = (schema, name)
    WHERE c.relkind IN ('r', 'p')
    UNION SELECT inhrelid FROM pg_inherits JOIN family ON family.oid = inhparent)
SELECT array_agg(oid) FROM family
"""
# What ties the tables of an array of OIDs to others, as the statement that cuts it, and in words ('' is not told).
_TIES = """
SELECT format('ALTER TABLE %%s DETACH PARTITION %%s', inhparent::regclass, inhrelid::regclass), ''
FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
WHERE c.relispartition AND inhrelid = ANY(%(family)s) AND inhparent <> ALL(%(family)s)
UNION ALL
SELECT format('ALTER TABLE %%s NO INHERIT %%s', inhrelid::regclass, inhparent::regclass), ''
FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
WHERE NOT c.relispartition AND inhrelid = ANY(%(family)s) AND inhparent <> ALL(%(family)s)
UNION ALL
SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I', conrelid::regclass, conname),
       format('foreign key %%s to %%s', conname, confrelid::regclass)
FROM pg_constraint
WHERE contype = 'f' AND conparentid = 0 AND conrelid = ANY(%(family)s) AND confrelid <> ALL(%(family)s)
UNION ALL
SELECT format('DROP TRIGGER %%I ON %%s', tgname, tgrelid::regclass), format('trigger %%s', tgname)
FROM pg_trigger t WHERE NOT tgisinternal AND tgrelid = ANY(%(family)s)
  AND coalesce(to_jsonb(t) ->> 'tgparentid', '0') = '0'
UNION ALL
SELECT format('DROP POLICY %%I ON %%s', polname, polrelid::regclass), format('policy %%s', polname)
FROM pg_policy WHERE polrelid = ANY(%(family)s)
UNION ALL
SELECT format('ALTER TABLE %%s NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY', oid::regclass),
       format('row security of %%s', oid::regclass)
FROM pg_class WHERE relrowsecurity AND oid = ANY(%(family)s)
UNION ALL
SELECT format('DROP RULE %%I ON %%s', rulename, ev_class::regclass), format('rule %%s', rulename)
FROM pg_rewrite WHERE ev_class = ANY(%(family)s) AND rulename <> '_RETURN'
"""
# The application's types that the columns of the tables have, themselves or as the element of an array.
_TYPES = """
SELECT DISTINCT t.oid, format('%%I.%%I', n.nspname, t.typname)
FROM pg_attribute a JOIN pg_type c ON c.oid = a.atttypid
JOIN pg_type t ON t.oid = CASE WHEN c.typelem <> 0 AND c.typcategory = 'A' THEN c.typelem ELSE c.oid END
JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped AND t.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
ORDER BY 2
"""
# What a type is, in words that are the same in another database.
_DEFINITION = """
SELECT concat_ws(' ', t.typtype, format_type(nullif(t.typbasetype, 0), t.typtypmod), t.typnotnull, t.typdefault,
    (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
    (SELECT string_agg(pg_get_constraintdef(k.oid), ',' ORDER BY conname) FROM pg_constraint k WHERE contypid = t.oid),
    (SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ',' ORDER BY attnum)
     FROM pg_attribute WHERE attrelid = nullif(t.typrelid, 0) AND attnum > 0 AND NOT attisdropped),
    (SELECT format_type(rngsubtype, NULL) FROM pg_range WHERE rngtypid = t.oid))
FROM pg_type t WHERE t.oid = to_regtype(%s)
"""


def schema_of(backup: str) -> str:
    """The schema that tables of a backup are restored into."""
    return f"restored_{re.sub('[^a-z0-9]+', '_', backup.lower()).strip('_')}"[:NAME_BYTES]


def parsed(name: str) -> Table:
    """``public.users`` as PostgreSQL writes it, in its two parts; the schema is '' where there is none."""
    parts = [part[1:-1].replace('""', '"') if part.startswith('"') else part for part in _IDENTIFIER.findall(name)]
    return (parts[0], ".".join(parts[1:])) if len(parts) > 1 else ("", name if not parts else parts[0])


def known(manifest: Manifest, entries: Iterable[archive.Entry]) -> list[Table]:
    """The tables of a backup, those that only have partitions as well."""
    words = (each.text.split(" ") for each in entries if each.text.startswith("TABLE ") and each.catalogue == 1259)
    return sorted({*map(parsed, manifest.tables), *((each[1], each[2]) for each in words if len(each) == 4)})


def choose(patterns: Sequence[str], tables: Sequence[Table], backup: str) -> list[Table]:
    """The tables that the patterns name, each ``name``, ``schema.name``, with ``*`` and ``?`` for any characters.

    A name without a schema is that of one in public, or else of the only one that has it. SlipwayError for a name that
    no table has, with those that are like it, and for two tables of one name: they could not be in one schema.
    """
    found: list[Table] = []
    for pattern in patterns:
        schema, name = parsed(pattern)
        matching = [
            table
            for table in tables
            if fnmatch.fnmatchcase(table[1], name) and (not schema or fnmatch.fnmatchcase(table[0], schema))
        ]
        if not schema:
            matching = [table for table in matching if table[0] == "public"] or matching
        if not matching:
            names = [f"{schema}.{name}" for schema, name in tables]
            close = difflib.get_close_matches(pattern, [*names, *(name for _, name in tables)], 3)
            said = f"did you mean {' or '.join(close)}?" if close else f"it has {listed(names)}."
            raise SlipwayError(f"Backup {backup!r} has no table {pattern!r}, and nothing was changed: {said}")
        found += [table for table in matching if table not in found]
    twice = sorted({name for _, name in found if len([1 for _, other in found if other == name]) > 1})
    if twice:
        raise SlipwayError(
            f"More than one schema of backup {backup!r} has a table {twice[0]!r}, and one schema can't hold both, so "
            "nothing was changed: restore them one after the other, and drop or rename the schema in between."
        )
    return found


@dataclass
class SomeTables(Restore):
    """One run: the backup, and which of its tables go into which schema."""

    tables: Sequence[Table] = ()
    schema: str = ""

    @property
    def shown(self) -> list[str]:
        return [f"{schema}.{name}" for schema, name in self.tables]

    def there(self) -> dict[str, int] | None:
        """The rows by table of the schema where an earlier run has restored these tables; None where it is not there.

        SlipwayError when it is there without one of them.
        """
        with autocommit(self.server) as cursor:
            cursor.execute("SELECT FROM pg_namespace WHERE nspname = %s", [self.schema])
            if cursor.fetchone() is None:
                return None
            found = _counts(cursor, self.schema)
        missing = [name for _, name in self.tables if name not in found]
        if missing:
            raise SlipwayError(
                f"Schema {self.schema} is there already, without {listed(missing)}, so nothing was changed: drop it "
                f"(DROP SCHEMA {self.schema} CASCADE) or rename it, and run again."
            )
        return found

    def apply(self) -> list[str]:
        """Restore them; what was done. The live database stays as it was when a step fails."""
        with self.beside() as actions:
            actions += self.tidied()
            with self.timed("restore"):
                took = self.copy()
            with self.timed("compare"):
                self.compare(took)
            with self.timed("move"), autocommit(self.server.on(self.restoring)) as cursor:
                left_out, types = self._move(cursor)
                wanted = _counts(cursor, self.schema)
            with self.timed("write"):
                self._write(wanted)
            databases.drop(self.admin, self.restoring)
        rows = ", ".join(f"{name} ({counted(number, 'row')})" for name, number in sorted(wanted.items()))
        return [
            *actions,
            f"Restored into schema {self.schema}, of backup {self.manifest.name}: {rows}; nothing else was touched.",
            *([f"Left out there, since it ties them to other tables: {listed(left_out)}."] if left_out else []),
            *(
                [f"Brought along into the schema, since the database has none like it: type {', type '.join(types)}."]
                if types
                else []
            ),
        ]

    def _move(self, cursor: Cursor) -> tuple[list[str], list[str]]:
        """Move the tables, in the copy, into the schema; what was left out, and the types that came along."""
        cursor.execute("SET search_path TO ''")
        cursor.execute(_FAMILY, [[schema for schema, _ in self.tables], [name for _, name in self.tables]])
        family = one_row(cursor)[0]
        cursor.execute(_TIES, {"family": family})
        ties = cursor.fetchall()
        cursor.execute(_TYPES, [family])
        types = cursor.fetchall()
        schema = quote(self.schema)
        with autocommit(self.server) as live:
            live.execute("SET search_path TO ''")
            missing = [name for _, name in types if _definition(cursor, name) != _definition(live, name)]
        cursor.execute(f"CREATE SCHEMA {schema}")
        for statement, _ in ties:
            cursor.execute(statement)
        cursor.execute("SELECT oid::regclass::text FROM unnest(%s::oid[]) AS oid", [family])
        for (table,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {table} SET SCHEMA {schema}")
        for name in missing:
            cursor.execute(f"ALTER TYPE {name} SET SCHEMA {schema}")
        return [said for _, said in ties if said], missing

    def _write(self, wanted: dict[str, int]) -> None:
        """Send the schema of the copy to the live database in one transaction."""
        partial = self.directory / f"{self.schema}.dump.partial"
        partial.unlink(missing_ok=True)
        with store.new_file(partial) as target:
            self.client.dump_schema(self.restoring, self.schema, target)
        try:
            with (
                connection(self.server, statement_timeout="0", lock_timeout="10s") as opened,
                opened.cursor() as cursor,
            ):
                cursor.execute(f"SET LOCAL ROLE {quote(self.about.owner)}")
                with partial.open("rb") as lines:
                    for statement in Script(lines, f"The copy of backup {self.manifest.name!r}"):
                        if not statement.left_out and not re.match(rb"SET\s+default_tablespace", statement.text):
                            self._send(statement, cursor)
                found = _counts(cursor, self.schema)
                if found != wanted:
                    raise SlipwayError(
                        f"Schema {self.schema} would not hold what the backup does ({found} instead of {wanted}), so "
                        "nothing was changed: run again, and report it if that stays."
                    )
                opened.commit()
        finally:
            partial.unlink()

    def _send(self, statement: Statement, cursor: Cursor) -> None:
        try:
            play.send(statement, cursor)
        except psycopg2.Error as error:
            said = " ".join((error.diag.message_primary or str(error)).split())
            raise SlipwayError(
                f"The tables of backup {self.manifest.name!r} can't be made in database {self.server.database!r} as it "
                f"is now: {said} ({statement.shown}), so nothing was changed: restore the whole backup elsewhere, or "
                "make what is missing."
            ) from error


def _definition(cursor: Cursor, name: str) -> str | None:
    cursor.execute(_DEFINITION, [name])
    row = cursor.fetchone()
    return str(row[0]) if row else None


def _counts(cursor: Cursor, schema: str) -> dict[str, int]:
    """The rows by table of a schema, of those that store any, and of those that have partitions."""
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = %s::regnamespace ORDER BY 1",
        [quote(schema)],
    )
    found: dict[str, int] = {}
    for (name,) in cursor.fetchall():
        cursor.execute(f"SELECT count(*) FROM {quote(schema)}.{quote(name)}")
        found[name] = one_row(cursor)[0]
    return found
