# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a dump that was made elsewhere beside a database, and put it in the database's place.

No manifest vouches for it, so what it holds is told. What is in it belongs to the database's owner, and the other roles
have the rights that they have on what migrations make; the owners and rights that it names are another server's.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._access import rights
from ansible_collections.slipway.deploy.plugins.module_utils._access.own_schema import close_own_tables, let_note_runs
from ansible_collections.slipway.deploy.plugins.module_utils._backup import dump_file, store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.contents import read, read_extensions
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Reading
from ansible_collections.slipway.deploy.plugins.module_utils._backup.play import play
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restore import Replacement
from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import CutOffError, Script
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    autocommit,
    connection,
    one_row,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, quote
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, human

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# They belong to who makes them, as the application goes on to do.
_LARGE_OBJECTS = "SELECT format('ALTER LARGE OBJECT %%s OWNER TO %%I', oid, %s) FROM pg_largeobject_metadata"


@dataclass
class Import(Replacement):
    """One run: the file, and the roles that the database has. ``owner_password`` is the owner's."""

    path: Path
    name: str  # of the file where the operator has it
    roles: rights.Roles
    owner_password: str

    def check(self, found: dump_file.DumpFile) -> None:
        """Raise SlipwayError when the file can't be restored on this server."""
        found.insist_on(self.about.server_version, self.about.server_major)
        if found.kind != "sql":
            self.client.check_version()
        databases.exists(self.admin, self.restoring)

    def apply(self) -> dict[str, Any]:
        """Restore, count, swap. The database stays as it was when a step fails."""
        with dump_file.opened(self.path, self.name) as (found, stream):
            self.check(found)
            with self.beside() as actions:
                with self.timed("restore"):
                    left_out = self._restore(found, stream)
                with self.timed("compare"), databases.reading(self.server.on(self.restoring)) as opened:
                    holds = read(opened)
                if not holds.tables:
                    raise SlipwayError(
                        f"{self.name} makes no table, so it was not put in the place of database "
                        f"{self.server.database!r}: name the dump that has the tables; nothing was changed."
                    )
                self.finish()
        return self._result(found, holds, left_out, actions)

    def _restore(self, found: dump_file.DumpFile, stream: IO[bytes]) -> Counter[str]:
        with databases.reading(self.server) as opened:
            known = [extension.name for extension in read_extensions(opened)]
        with autocommit(self.server) as live:
            closed = _large_objects_closed(live)
        databases.create(self.admin, self.restoring, self.about)
        target = self.server.on(self.restoring)
        owner_login = target.by({"login_user": self.roles.owner, "login_password": self.owner_password})
        with autocommit(target) as admin:
            # What the owner makes from here on has the rights that it has when a migration makes it.
            admin.execute("SELECT has_schema_privilege(%s, 'public', 'CREATE')", [self.roles.owner])
            if not one_row(admin)[0]:  # before version 15, where everyone may, if the template has not been changed
                admin.execute(f"GRANT CREATE ON SCHEMA public TO {quote(self.roles.owner)}")
            _do(admin, rights.future_rights(admin, self.roles))
            # The copy is of no worth until it is whole: single commits need not wait for the disk.
            with connection(owner_login, statement_timeout="0", synchronous_commit="off") as owner:
                owner.autocommit = True
                with owner.cursor() as cursor, self._script(found, stream) as script, _progress(found, stream, script):
                    left_out = play(script, cursor, admin, known)
            _do(admin, rights.rights_within(admin, self.roles, self.roles.clients()))
            if rights.COMMAND_RUNS in close_own_tables(admin):
                let_note_runs(admin, self.roles.application)
            if closed:
                _do(admin, rights.large_object_rights(admin, self.roles))
            admin.execute(_LARGE_OBJECTS, [self.roles.application])
            for (statement,) in admin.fetchall():
                admin.execute(statement)
        return left_out

    @contextlib.contextmanager
    def _script(self, found: dump_file.DumpFile, stream: IO[bytes]) -> Iterator[Script]:
        """The dump as SQL: as it is, or as pg_restore prints an archive."""
        if found.kind == "sql":
            with dump_file.reading(self.name):
                yield Script(stream, self.name)
            return
        if found.compressed:
            unpacked = self.path.with_name(f"{self.path.name}.unpacked.dump.partial")
            unpacked.unlink(missing_ok=True)
            with store.new_file(unpacked) as out, dump_file.reading(self.name):
                for block in iter(lambda: stream.read(1 << 20), b""):
                    out.write(block)
        archive = unpacked if found.compressed else self.path
        reading, writing = os.pipe()
        errors: list[SlipwayError] = []

        def convert() -> None:
            try:
                with os.fdopen(writing, "wb") as sink:
                    self.client.script(str(archive), sink)
            except SlipwayError as error:
                errors.append(error)

        thread = threading.Thread(target=convert)
        thread.start()
        try:
            with os.fdopen(reading, "rb") as lines:
                yield Script(lines, self.name)
        except CutOffError:  # pg_restore has ended too early, and knows why
            thread.join()
            if not errors:
                raise
        finally:  # closing the pipe has ended it
            thread.join()
            if found.compressed:
                archive.unlink()
        if errors:
            raise SlipwayError(f"{self.name} can't be read whole, and nothing was changed: {errors[0]}")

    def _result(
        self, found: dump_file.DumpFile, holds: Reading, left_out: Counter[str], actions: list[str]
    ) -> dict[str, Any]:
        more = ", ".join(f"{what} ({number})" for what, number in left_out.items())
        return {
            "changed": True,
            "actions": [
                *actions,
                f"Restored {self.name}, {found.shown} ({human(found.size)}): {counted(len(holds.tables), 'table')} and "
                f"{counted(holds.rows, 'row')}, in {self.seconds['restore']:.1f} s; all of it belongs to "
                f"{self.roles.owner}.",
                *([f"Left out of it, as Slipway sees to that: {more}."] if more else []),
                self.swapped,
            ],
            "restore": {
                "backup": self.name,
                "database": self.server.database,
                "kept_database": self.kept,
                "tables": len(holds.tables),
                "counts": dict(holds.tables),
                "rows": holds.rows,
                "migrations": list(holds.migrations),
                "left_out": dict(left_out),
                "seconds": self.seconds,
            },
        }


def _progress(found: dump_file.DumpFile, stream: IO[bytes], script: Script) -> AbstractContextManager[None]:
    """Tell how far the dump was read: in bytes where the file is what is read, else in lines of its SQL."""
    if found.kind == "sql" and not found.compressed:
        return progress.measured("restoring the dump", stream.tell, found.size, "B")
    return progress.measured("restoring the dump", lambda: script.number, 0, "lines")


def _do(cursor: Cursor, statements: list[SqlAction]) -> None:
    for statement in statements:
        cursor.execute(statement.sql)


def _large_objects_closed(cursor: Cursor) -> bool:
    """Whether it is taken from everyone to make large objects, as on a server that is Slipway's alone."""
    cursor.execute("SELECT NOT has_function_privilege('public', 'pg_catalog.lo_create(oid)', 'EXECUTE')")
    return bool(one_row(cursor)[0])
