# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore an archive into a fresh database, also one that pg_restore alone can't restore.

pg_restore works with an empty ``search_path``, table by table, later than the rows were written. So it fails where a
check, a generated column or an index calls a function that finds other objects by ``search_path``, where a check looks
at other tables, and where it looks at the clock. Then the copy is made once more, with help that leaves no trace where
all goes well: functions have a ``search_path`` while rows and indexes come back, and checks are added after the rows.
A check that is violated by then stays NOT VALID: it holds for new rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._backup import archive as archives
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Extension
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client, Failure
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, autocommit, one_row
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:  # connect() has said so before anything here is called
    pass

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# The application's functions that take their search_path from the session.
_FUNCTIONS = """
    SELECT p.oid::regprocedure::text FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384 AND p.prokind = 'f' AND l.lanname NOT IN ('internal', 'c')
      AND pg_has_role(p.proowner, 'USAGE')
      AND NOT EXISTS (SELECT FROM unnest(p.proconfig) AS setting WHERE setting LIKE 'search\\_path=%')
    ORDER BY p.oid
"""
# Checks that are no part of an extension and come from no parent table: of what, name, definition, comment.
_CHECKS = """
    SELECT CASE WHEN k.conrelid <> 0 THEN 'TABLE ' || k.conrelid::regclass
           ELSE 'DOMAIN ' || format_type(k.contypid, NULL) END, k.conname, pg_get_constraintdef(k.oid),
           obj_description(k.oid, 'pg_constraint')
    FROM pg_constraint k
    WHERE k.oid >= 16384 AND k.contype = 'c' AND k.convalidated AND k.coninhcount = 0
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e' AND e.classid IN ('pg_class'::regclass,
          'pg_type'::regclass) AND e.objid IN (k.conrelid, k.contypid))
    ORDER BY k.oid
"""


@dataclass(frozen=True)
class Help:
    """What a restore took besides pg_restore: why, and which objects are not as they were, in phrases."""

    reason: str = ""  # '' when it took nothing
    failures: tuple[str, ...] = ()


@dataclass
class Copy:
    """A database to be made from an archive; ``server`` names it with the role that restores."""

    admin: Cursor
    client: Client
    server: Server
    like: databases.About
    archive: str
    extensions: Sequence[Extension]
    size: int = 0

    def restore(self, search_path: str) -> Help:
        """Make the database and restore the archive; ``search_path`` is the source's.

        Raises SlipwayError when a row can't be restored, or the archive can't be read.
        """
        self.admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        superuser = one_row(self.admin)[0]
        order = archives.order(archives.parse(self.client.contents(self.archive)), superuser)
        with progress.measured("restoring", self._size_now, self.size):
            return self._restore(order, search_path)

    def _size_now(self) -> int:
        """Bytes that the copy has by now; asked for in a thread, while this one waits for pg_restore."""
        with self.admin.connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(pg_database_size(oid), 0) FROM pg_database WHERE datname = %s",
                           [self.server.database])  # fmt: skip
            return int((cursor.fetchone() or (0,))[0])

    def _restore(self, order: archives.Order, search_path: str) -> Help:
        try:
            self._begin(order)
            self._plainly(order)
        except SlipwayError as error:
            databases.drop(self.admin, self.server.database)
            try:
                self._begin(order)
                return Help(str(error), tuple(self._with_help(order, search_path)))
            except SlipwayError as again:
                raise error from again
        return Help()

    def _begin(self, order: archives.Order) -> None:
        databases.create(self.admin, self.server.database, self.like)
        if self.extensions:
            if order.schemas:
                self.client.restore(self.archive, self.server.database, only=order.schemas)
            with autocommit(self.server) as cursor:
                for extension in self.extensions:
                    create_extension(cursor, extension)

    def _plainly(self, order: archives.Order) -> None:
        if order.plain and not self.extensions:
            self.client.restore(self.archive, self.server.database)
            return
        schemas = () if self.extensions else order.schemas
        self.client.restore(self.archive, self.server.database, only=(*schemas, *order.main))
        if order.late:
            self.client.restore(self.archive, self.server.database, only=order.late)

    def _with_help(self, order: archives.Order, search_path: str) -> list[str]:
        restore = self.client.restore
        database = self.server.database
        schemas = () if self.extensions else order.schemas
        restore(self.archive, database, "--section=pre-data", only=(*schemas, *order.main))
        failures: list[str] = []
        with autocommit(self.server) as cursor, _search_path(cursor, search_path):
            with _checks_afterwards(cursor, failures):
                restore(self.archive, database, "--section=data", only=order.main)
            for part, sections in ((order.main, ("--section=post-data",)), (order.late, ())):
                if part:
                    for failed in self.client.restore_what_can_be(self.archive, database, *sections, only=part):
                        failures.append(f"{failed.entry}: {failed.why}")
                        _stand_in(cursor, failed)
        return failures


@contextlib.contextmanager
def _search_path(cursor: Cursor, search_path: str) -> Iterator[None]:
    """Let the application's functions find what they name by this ``search_path``, for a ``with`` block."""
    cursor.execute("SET search_path TO ''")
    cursor.execute(_FUNCTIONS)
    functions = [row[0] for row in cursor.fetchall()]
    cursor.execute("SELECT set_config('search_path', %s, false)", [search_path])
    for function in functions:
        cursor.execute(f"ALTER FUNCTION {function} SET search_path FROM CURRENT")
    cursor.execute("SET search_path TO ''")
    yield
    for function in functions:
        cursor.execute(f"ALTER FUNCTION {function} RESET search_path")


@contextlib.contextmanager
def _checks_afterwards(cursor: Cursor, failures: list[str]) -> Iterator[None]:
    """Take the checks away for a ``with`` block and add them again; those that don't hold then are told."""
    dropped: list[tuple[str, sql.Identifier, str, str | None]] = []
    while True:
        cursor.execute(_CHECKS)
        found = [(of, sql.Identifier(name), definition, comment) for of, name, definition, comment in cursor.fetchall()]
        if not found:
            break
        for of, name, *_ in found:
            cursor.execute(sql.SQL("ALTER {} DROP CONSTRAINT {}").format(sql.SQL(of), name))
        dropped += found  # what children of these tables have themselves comes in the next round
    yield
    for of, name, definition, comment in reversed(dropped):
        cursor.execute(
            sql.SQL("ALTER {} ADD CONSTRAINT {} {} NOT VALID").format(sql.SQL(of), name, sql.SQL(definition))
        )
        if comment:
            on = of[len("TABLE ") :] if of.startswith("TABLE ") else of
            cursor.execute(
                sql.SQL("COMMENT ON CONSTRAINT {} ON {} IS {}").format(name, sql.SQL(on), sql.Literal(comment))
            )
    for of, name, *_ in reversed(dropped):
        try:
            cursor.execute(sql.SQL("ALTER {} VALIDATE CONSTRAINT {}").format(sql.SQL(of), name))
        except psycopg2.Error as error:
            failures.append(f"{name.string!r} of {of.lower()}: {error.diag.message_primary}")


def _stand_in(cursor: Cursor, failed: Failure) -> None:
    """An object of that name which is there but not in force, so that a migration that drops it can be rehearsed.

    CREATE INDEX CONCURRENTLY leaves an invalid index where it fails.
    """
    with contextlib.suppress(psycopg2.Error):
        if failed.entry.startswith("INDEX "):
            cursor.execute(failed.command.replace(" INDEX ", " INDEX CONCURRENTLY ", 1))
        elif failed.entry.startswith("FK CONSTRAINT "):
            cursor.execute(failed.command.rstrip(";") + " NOT VALID")


def create_extension(cursor: Cursor, extension: Extension) -> None:
    """Create an extension as the role that owns it, in its version, so that it belongs to that role here too.

    What can't be done that way is left to pg_restore, which makes the role that restores its owner.
    """
    role, schema, database = (sql.Identifier(name) for name in (extension.owner, extension.schema, _current(cursor)))
    cursor.execute("SELECT 1 FROM pg_available_extension_versions WHERE (name, version) = (%s, %s)",
                   [extension.name, extension.version])  # fmt: skip
    version = sql.SQL("VERSION {}").format(sql.Literal(extension.version)) if cursor.fetchone() else sql.SQL("")
    cursor.execute("BEGIN")
    try:
        cursor.execute(
            "SELECT has_database_privilege(%s, current_database(), 'CREATE'), has_schema_privilege(%s, %s, 'CREATE')",
            [extension.owner, extension.owner, extension.schema],
        )
        missing = [
            sql.SQL("CREATE ON {} {}").format(sql.SQL(kind), name)
            for kind, name, has in zip(("DATABASE", "SCHEMA"), (database, schema), one_row(cursor))
            if not has
        ]
        for right in missing:
            cursor.execute(sql.SQL("GRANT {} TO {}").format(right, role))
        cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(role))
        cursor.execute(
            sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {} {}").format(
                sql.Identifier(extension.name), schema, version
            )
        )
        cursor.execute("RESET ROLE")
        for right in missing:
            cursor.execute(sql.SQL("REVOKE {} FROM {}").format(right, role))
        cursor.execute("COMMIT")
    except psycopg2.Error:
        cursor.execute("ROLLBACK")


def _current(cursor: Cursor) -> str:
    cursor.execute("SELECT current_database()")
    return str(one_row(cursor)[0])
