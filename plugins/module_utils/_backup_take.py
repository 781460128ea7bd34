# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a backup: dump, restore into a scratch database, compare, and only then call it one."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils import _backup_database as databases
from ansible_collections.slipway.deploy.plugins.module_utils import _backup_store as store
from ansible_collections.slipway.deploy.plugins.module_utils._backup import (
    Manifest,
    Reading,
    SequenceValue,
    counted,
    human,
    listed,
    object_differences,
    row_differences,
    sequence_differences,
    superfluous,
)
from ansible_collections.slipway.deploy.plugins.module_utils._backup_catalogue import read, read_sequences
from ansible_collections.slipway.deploy.plugins.module_utils._connection import Server, sql_errors
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._pg_client import Client

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass
class Backup:
    """One run: where from, where to, and what it took so far."""

    params: dict[str, Any]
    server: Server
    admin: Cursor
    client: Client
    about: databases.About
    scratch: str
    name: str
    started: datetime.datetime
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return Path(self.params["directory"])

    @property
    def partial(self) -> Path:
        return self.directory / f"{self.name}.dump{store.PARTIAL}"

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - begin, 3)

    def prove(self) -> Manifest:
        """Dump, restore, compare; what the dump holds, and that it can be had back, is known when this returns."""
        source, sequences_after = self.dump()
        with self.timed("checksum"):
            sha256 = store.checksum(self.partial)
        with self.timed("read"):
            content = self.client.read_through(str(self.partial))
        with self.timed("restore"):
            databases.create(self.admin, self.scratch, self.about)
            self.client.restore(str(self.partial), self.scratch)
        with self.timed("compare"):
            copy = self.compare(source, sequences_after)
        return Manifest(
            name=self.name,
            application=self.params["application"],
            environment=self.params["environment_name"],
            database=self.server.database,
            release=self.params["release"],
            server_version=self.about.server_version,
            server_major=self.about.server_major,
            system_identifier=self.about.system_identifier,
            started=self.started.isoformat(timespec="milliseconds"),
            finished=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds"),
            dump=f"{self.name}.dump",
            size=self.partial.stat().st_size,
            sha256=sha256,
            database_size=self.about.size,
            tables=dict(copy.tables),
            rows=copy.rows,
            sequences={name: asdict(value) for name, value in copy.sequences.items()},
            objects=copy.kinds,
            schema_digest=copy.digest,
            migrations=list(copy.migrations),
            seconds=self.seconds,
            content=content,
        )

    def dump(self) -> tuple[Reading, dict[str, SequenceValue]]:
        """Write the dump; what its snapshot holds, and where the sequences stand when it has ended."""
        with databases.reading(self.server) as holder, databases.reading(self.server) as opened:
            snapshot = databases.export_snapshot(holder)
            with self.timed("count"):
                source = read(opened, snapshot)
            with self.timed("dump"), store.new_file(self.partial) as target:
                self.client.dump(snapshot, target)
            return source, read_sequences(opened)

    def compare(self, source: Reading, sequences_after: dict[str, SequenceValue]) -> Reading:
        """Read the restored copy; SlipwayError when it is not what the snapshot held."""
        with databases.reading(self.server.on(self.scratch)) as opened:
            copy = read(opened)
        differences = [
            *row_differences(source.tables, copy.tables),
            *sequence_differences(source.sequences, sequences_after, copy.sequences),
            *object_differences(source.objects, copy.objects),
        ]
        if differences:
            raise SlipwayError(
                f"The restored copy of database {self.server.database!r} differs from it, so the dump is no backup: "
                f"{listed(differences)}; when the schema was changed during the dump, run again.",
                differences=differences,
            )
        return copy

    def discard(self) -> None:
        """Remove what is not proved. A server that is gone can't drop its database; the next run does that."""
        with contextlib.suppress(OSError):  # the error that led here is the one to tell
            self.partial.unlink(missing_ok=True)
        with contextlib.suppress(SlipwayError), sql_errors("Dropping the scratch database"):
            databases.drop(self.admin, self.scratch)

    def take(self) -> dict[str, Any]:
        """The whole run, under the directory's lock."""
        actions = [
            f"Removed {name}, which an interrupted run left behind." for name in store.remove_partial(self.directory)
        ]
        if databases.drop(self.admin, self.scratch):
            actions.append(databases.left_behind(self.scratch))
        actions += databases.drop_leftovers(self.admin, self.server.database)
        try:
            manifest = self.prove()
            store.publish(self.directory, manifest)
        except BaseException:
            self.discard()
            raise
        kept = self.params["keep_scratch"]
        if kept:
            databases.copy_settings(self.admin, self.server.database, self.scratch)
        else:
            databases.drop(self.admin, self.scratch)
        actions += [
            f"Dumped database {manifest.database} ({human(manifest.database_size)}, release "
            f"{manifest.release or 'unnamed'}) to {manifest.dump} ({human(manifest.size)}) in "
            f"{self.seconds['dump']:.1f} s.",
            f"Restored it into {self.scratch} and compared {counted(len(manifest.tables), 'table')}, "
            f"{counted(manifest.rows, 'row')}, {counted(len(manifest.sequences), 'sequence')} and "
            f"{counted(sum(manifest.objects.values()), 'object')}, in "
            f"{self.seconds['restore'] + self.seconds['compare']:.1f} s.",
        ]
        whole = [entry.manifest for entry in store.entries(self.directory) if entry.manifest and not entry.problem]
        for old, why in superfluous(whole, manifest, self.params["keep"], self.params["keep_days"]):
            store.remove(self.directory, old)
            actions.append(f"Removed backup {old.name}: {why}.")
        return {
            "changed": True,
            "actions": actions,
            "backup": asdict(manifest),
            "scratch_db": self.scratch if kept else "",
        }
