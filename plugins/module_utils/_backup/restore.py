# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a backup beside a database, compare it with its manifest, and put it in the database's place."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.contents import read
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import (
    WITH_EXPRESSIONS,
    Extension,
    Manifest,
    compared,
)
from ansible_collections.slipway.deploy.plugins.module_utils._backup.proof import (
    not_as_it_was,
    restored_differences,
    same_words,
    schema_differences,
)
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restored_copy import Copy, Help
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import RESTORING, derived_name
from ansible_collections.slipway.deploy.plugins.module_utils._schema import snapshot
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, human, listed

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_NOT_COMPARED = (
    "Its rows and sequences are as its manifest says; its schema was not compared, since the backup is of another "
    "version of Slipway or PostgreSQL, which describes a schema in other words."
)


def _equal(name: str, one: str, other: str) -> bool:
    """Whether two texts are the same definition of an object, whose name begins with its kind."""
    kind = next((kind for kind in WITH_EXPRESSIONS if name.startswith(f"{kind} ")), "")
    return compared(kind, one) == compared(kind, other)


def kept_name(database: str, now: datetime.datetime) -> str:
    """What a database is called from then on when another one takes its place."""
    return derived_name(database, f"_before_restore_{now:%Y%m%d_%H%M%S}_{now.microsecond // 1000:03}")


@dataclass
class Replacement:
    """A database that is made beside another one and takes its place: where, by whom, and what it took so far."""

    server: Server
    maintenance: Server
    admin: Cursor
    client: Client
    about: databases.About
    directory: Path
    restoring: str
    kept: str
    seconds: dict[str, float] = field(default_factory=dict, init=False)

    def insist_on_room(self, size: int, factor: float) -> None:
        """Raise SlipwayError unless there is room for ``factor`` times ``size`` bytes where the server's data are."""
        there, needed = self.about.data_directory, int(size * factor)
        store.check_space(self.directory, 0, there, needed, self.client.free_space(there))

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - begin, 3)

    @contextlib.contextmanager
    def beside(self) -> Iterator[list[str]]:
        """Clear the way for the copy, and drop it when a step of the ``with`` block fails; what was done."""
        actions = databases.recover(self.admin, self.server.database)
        if databases.drop(self.admin, self.restoring):
            actions.append(databases.left_behind(self.restoring))
        actions += databases.drop_leftovers(self.admin, self.server.database)
        try:
            yield actions
        except BaseException:
            with contextlib.suppress(SlipwayError), sql_errors("Dropping the restored database"):
                databases.drop(self.admin, self.restoring)
            raise

    def finish(self) -> None:
        """Make the copy ready to be used, and put it in the database's place."""
        with self.timed("analyse"), autocommit(self.server.on(self.restoring)) as cursor:
            cursor.execute("ANALYZE")  # a dump holds no statistics, and without them plans are bad
            snapshot.reprint(cursor, _equal)  # or drift takes for changed what PostgreSQL prints otherwise now
        with self.timed("swap"):
            databases.swap(self.maintenance, self.server.database, self.restoring, self.kept)

    @property
    def swapped(self) -> str:
        """What was done in the end."""
        return (
            f"Put it in the place of database {self.server.database}, which nobody could use for "
            f"{self.seconds['swap']:.2f} s; the former one is kept as {self.kept}."
        )


@contextlib.contextmanager
def opened(params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a ``Replacement`` is made of, by a module's options, for a ``with`` block in which it is connected."""
    server = Server.from_params(params)
    maintenance = server.on(params["maintenance_db"])
    with autocommit(maintenance) as admin:
        about = databases.describe(admin, server.database)
        yield {
            "server": server,
            "maintenance": maintenance,
            "admin": admin,
            "client": Client.from_params(params, server, about.server_major),
            "about": about,
            "directory": Path(params["directory"]),
            "restoring": derived_name(server.database, RESTORING),
            "kept": kept_name(server.database, datetime.datetime.now(datetime.timezone.utc)),
        }


@dataclass
class Restore(Replacement):
    """One run: the backup, and the database whose place it takes."""

    manifest: Manifest
    unprovable: str = ""
    source: Path | None = None  # where the backup is, if not in the directory
    search_path: str = ""  # of the database that it is a backup of; '' where that is this server's
    mask: Callable[[Cursor], list[str]] | None = None  # what is done to the copy before anybody sees it
    schema_compared: bool = True

    def check(self) -> None:
        """Raise SlipwayError when the backup is damaged or can't be restored on this server."""
        if self.manifest.server_major > self.about.server_major:
            raise SlipwayError(
                f"Backup {self.manifest.name!r} is of PostgreSQL {self.manifest.server_version} and can't be restored "
                f"on {self.about.server_version}: choose an older backup, or restore it on a server of at least its "
                "version."
            )
        with self.timed("checksum"):
            damage = store.damage(self.source or self.directory, self.manifest, verify=True)
        if damage:
            raise SlipwayError(f"{damage} Backup {self.manifest.name!r} can't be restored: choose another one.")
        missing = databases.missing_roles(self.admin, self.manifest.roles, self.manifest.role_definitions)
        if missing:
            raise SlipwayError(f"Backup {self.manifest.name!r} can't be restored, and nothing was changed. {missing}")
        self.client.check_version()
        databases.exists(self.admin, self.restoring)

    def apply(self) -> list[str]:
        """Restore, compare, swap; what was done. The database stays as it was when a step fails."""
        with self.beside() as actions:
            actions += self.tidied()
            with self.timed("restore"):
                took = self.copy()
            with self.timed("compare"):
                unproved = self.compare(took)
            masked: list[str] = []
            if self.mask:
                with self.timed("mask"), autocommit(self.server.on(self.restoring)) as cursor:
                    masked = self.mask(cursor)
            self.finish()
        return [
            *actions,
            f"Restored backup {self.manifest.name} ({human(self.manifest.size)}) and compared "
            f"{counted(len(self.manifest.tables), 'table')} and {counted(self.manifest.rows, 'row')} with its "
            f"manifest, in {self.seconds['restore'] + self.seconds['compare']:.1f} s.",
            *masked,
            self.swapped,
            *([] if self.schema_compared else [_NOT_COMPARED]),
            *([f"Not as in the backup ({self.unprovable}): {listed(unproved)}."] if unproved else []),
        ]

    def tidied(self) -> list[str]:
        """Remove the files that a run left which was cut short; what was done."""
        return [store.left_behind(name) for name in store.remove_partial(self.directory)]

    def copy(self) -> Help:
        """Restore the backup beside the database."""
        return Copy(
            self.admin,
            self.client,
            self.server.on(self.restoring),
            self.about,
            str((self.source or self.directory) / self.manifest.dump),
            [Extension(**extension) for extension in self.manifest.extensions],
            self.manifest.database_size,
        ).restore(self.search_path or databases.search_path(self.admin, self.server.database))

    def compare(self, took: Help) -> list[str]:
        """What of the restored schema is not what the manifest says.

        SlipwayError when a row or a sequence is not, or the schema is not and nobody said why that may be.
        """
        with databases.reading(self.server.on(self.restoring)) as opened:
            copy = read(opened, doing="comparing the copy", method=self.manifest.method)
        data = restored_differences(self.manifest, copy)
        schema = schema_differences(self.manifest, copy)
        self.schema_compared = same_words(self.manifest, copy)
        if data or (schema and not took.failures and not self.unprovable):
            raise SlipwayError(
                f"Backup {self.manifest.name!r} was restored but is not what its manifest says, so database "
                f"{self.server.database!r} was left as it is: {listed(data + schema)}; choose another backup.",
                differences=data + schema,
            )
        # What was not proved when the backup was taken was accepted then.
        missing = [*took.failures, *schema] if schema or not self.manifest.unproved else []
        if missing and not self.unprovable:
            raise SlipwayError(
                f"{not_as_it_was(self.manifest.database, missing)} Database {self.server.database!r} was left as it "
                "is: choose another backup, or set unprovable to the reason for restoring this one without it.",
                differences=missing,
            )
        return missing

    def result(self, actions: list[str]) -> dict[str, Any]:
        return {
            "changed": True,
            "actions": actions,
            "restore": {
                "backup": self.manifest.name,
                "environment": self.manifest.environment,
                "release": self.manifest.release,
                "started": self.manifest.started,
                "database": self.server.database,
                "kept_database": self.kept,
                "tables": len(self.manifest.tables),
                "rows": self.manifest.rows,
                "migrations": self.manifest.migrations,
                "seconds": self.seconds,
            },
        }
