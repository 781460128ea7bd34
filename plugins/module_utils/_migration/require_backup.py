# SPDX-License-Identifier: GPL-3.0-or-later
"""No migration without a proved backup: what the manifests say is held against the database itself."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import TABLE, applied
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import ApplyContext, no_context
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.identity import identify
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import own
from ansible_collections.slipway.deploy.plugins.module_utils._schema.snapshot import renewing

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# What a migration could lose. What an extension brings comes back with it, and in "slipway" is nothing of the user's.
_HOLDS = """
    SELECT EXISTS (
        SELECT FROM pg_class AS class JOIN pg_namespace AS schema ON schema.oid = relnamespace
         WHERE relkind IN ('r', 'p', 'm', 'f', 'S') AND nspname !~ '^pg_'
           AND nspname NOT IN ('information_schema', 'slipway') AND (nspname, relname) <> (%(schema)s, %(table)s)
           AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = class.oid
                                                   AND deptype = 'e'))
        OR EXISTS (SELECT FROM pg_largeobject_metadata), current_database()
"""


@dataclass(frozen=True)
class Subject:
    """A database as its backup must describe it."""

    database: str
    system_identifier: str  # '' when the server hides it
    applied: frozenset[str]


def flaw(manifest: Manifest, subject: Subject, since: datetime.datetime | None) -> str:
    """Why a backup is not the one of a database as it is now, as a phrase; empty when it is.

    ``since``: when the run began that must have taken it.
    """
    if manifest.database != subject.database:
        return f"is of database {manifest.database!r}"
    servers = {manifest.system_identifier, subject.system_identifier}
    if "" not in servers and len(servers) > 1:
        return f"is of another server, {manifest.system_identifier}"
    if not manifest.proved:
        return "was not proved by a restore"
    if since and datetime.datetime.fromisoformat(manifest.started) < since:
        return "was taken before this run began"
    known = set(manifest.migrations)
    histories = sum(table.rpartition(".")[2] == TABLE for table in manifest.tables)
    different = subject.applied - known if histories > 1 else subject.applied ^ known
    return f"was taken before the history changed ({min(different)!r})" if different else ""


def insist(directory: str | None, subject: Subject, since: datetime.datetime | None) -> None:
    """Raise SlipwayError unless a directory holds a backup of the database as it is now, with its dump unaltered."""
    if not directory:
        raise SlipwayError(
            "No directory of backups is named (backup_directory): name the one that this run backs up to."
        )
    flaws = _flaws(store.entries(Path(directory)), directory, subject, since)
    if flaws:
        raise SlipwayError(
            f"Database {subject.database!r} has no proved backup of this run in {directory}, so that it was left as it "
            f"is: {flaws[0]}; see what the backup says, and run again."
        )


def _flaws(
    entries: Sequence[store.Entry], directory: str, subject: Subject, since: datetime.datetime | None
) -> list[str]:
    """Why no backup will do, that of the newest first; empty when one does."""
    flaws = []
    for entry in reversed(entries):
        found = flaw(entry.manifest, subject, since) if entry.manifest and not entry.problem else entry.problem
        if entry.manifest and not found:
            found = store.damage(Path(directory), entry.manifest, verify=True)
            if not found:
                return []
        flaws.append(f"the newest, {entry.name}, {found}".rstrip("."))
    return flaws or ["there is none"]


def began() -> datetime.datetime | None:
    """When the run that this process acts for took charge of the host; None outside of a run."""
    fence = own()
    return datetime.datetime.fromtimestamp(fence.number / 1000, datetime.timezone.utc) if fence else None


def insist_unless_empty(cursor: Cursor, schema: str, directory: str | None, since: datetime.datetime | None) -> None:
    """Raise SlipwayError unless the current database, if there is anything to lose in it, has its backup."""
    names = applied(cursor, schema)
    cursor.execute(_HOLDS, {"schema": schema, "table": TABLE})
    holds, database = one_row(cursor)
    if holds or names:
        insist(directory, Subject(database, identify(cursor)["system_identifier"], frozenset(names)), since)


def proved(directory: str | None, since: datetime.datetime | None, context: ApplyContext) -> ApplyContext:
    """An ``ApplyContext`` that insists on a backup before it enters ``context``, unless there is nothing to lose."""

    @contextlib.contextmanager
    def proving(cursor: Cursor, schema: str) -> Iterator[None]:
        insist_unless_empty(cursor, schema, directory, since)
        with context(cursor, schema):
            yield

    return proving


def keeping_snapshot(cursor: Cursor, schema: str) -> contextlib.AbstractContextManager[None]:
    """An ``ApplyContext`` that keeps the schema that the migrations make."""
    return renewing(cursor, lambda: applied(cursor, schema))


PROOF_SPEC: dict[str, dict[str, Any]] = {
    "require_backup": {"type": "bool", "default": False},
    "backup_directory": {"type": "path"},
}


def context_from_params(params: Mapping[str, Any]) -> ApplyContext:
    """What a module's parameters want to be done around the migrations: a proof before, a snapshot after them."""
    context = keeping_snapshot if params["snapshot"] else no_context
    return proved(params["backup_directory"], began(), context) if params["require_backup"] else context
