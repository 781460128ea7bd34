# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a backup: dump, restore into a scratch database, compare, and only then call it one."""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup import checksums, offsite, store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.contents import (
    read,
    read_extensions,
    read_integrity,
    read_role_definitions,
    read_roles,
    read_sequences,
)
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import (
    DATA,
    Extension,
    Manifest,
    Reading,
    SequenceValue,
    backup_name,
    notes,
    without,
)
from ansible_collections.slipway.deploy.plugins.module_utils._backup.place import PLACE_SPEC, Place, own_server
from ansible_collections.slipway.deploy.plugins.module_utils._backup.place import opened as opened_place
from ansible_collections.slipway.deploy.plugins.module_utils._backup.proof import (
    content_differences,
    not_as_it_was,
    object_differences,
    row_differences,
    sequence_differences,
)
from ansible_collections.slipway.deploy.plugins.module_utils._backup.prune import Keep, to_prune
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restored_copy import Copy, Help
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases, throwaway
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, autocommit, sql_errors
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import SCRATCH, derived_name
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway_remote import Remote
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._run.beside import beside
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, human, listed

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor


TAKE_SPEC: dict[str, dict[str, Any]] = {
    **PLACE_SPEC,
    "contents_limit": {"type": "int", "default": 20000},
    "compress": {"type": "str", "default": "1"},
}


@dataclass(frozen=True)
class Source:
    """What a database held when it was dumped, where its sequences stood afterwards, and what its dump names."""

    reading: Reading
    sequences_after: dict[str, SequenceValue]
    roles: list[str]
    role_definitions: list[str]
    wal_position: str
    extensions: list[Extension]


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
    with_data: bool = True
    contents: bool = True  # whether checksums of them are compared, which takes a tenth of the time
    advice: str = (
        "Correct that by a migration, and deploy it with unprovable set to the reason: the rows are proved then, what "
        "is named here is not, and the reason is kept in the backup's manifest."
    )
    own: throwaway.Throwaway | None = None  # the server of its own that the copy is made on
    seconds: dict[str, float] = field(default_factory=dict)
    place: Place = field(init=False)  # where the copy is made

    def __post_init__(self) -> None:
        self.place = Place(self.server, self.admin, self.client, self.about)

    @property
    def directory(self) -> Path:
        return Path(self.params["directory"])

    @property
    def partial(self) -> Path:
        return self.directory / f"{self.name}.dump{store.PARTIAL}"

    @property
    def where(self) -> str:
        """Where the copy is made, as a person reads it; '' for the same server."""
        there = f" at {self.own.name}" if isinstance(self.own, Remote) else ""
        return f" on a server of its own{there}" if self.own else ""

    @property
    def method(self) -> str:
        """How the contents are compared; '' for not."""
        return checksums.best(self.admin.connection.server_version) if self.contents and self.with_data else ""

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        begin = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - begin, 3)

    def prove(self) -> Manifest:
        """Dump, restore, compare; what the dump holds, and that it can be had back, is known when this returns."""
        source = self.dump()
        stop = threading.Event()
        with beside(lambda: self.read_through(stop), stop.set) as read_through, self.timed("restore"):
            to = self.place
            on = to.server.on(self.scratch)
            copying = Copy(to.admin, to.client, on, to.about, str(self.partial), source.extensions, self.about.size)
            took = copying.restore(databases.search_path(self.admin, self.server.database))
        sha256, content = read_through.result()
        with self.timed("compare"):
            copy, unproved = self.compare(source, took)
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
            roles=source.roles,
            role_definitions=source.role_definitions,
            wal_position=source.wal_position,
            extensions=[asdict(extension) for extension in source.extensions],
            contents={name: list(sums) for name, sums in copy.contents.items()},
            method=copy.method,
            help=took.reason,
            unproved=unproved,
            unprovable=self.params["unprovable"] if unproved else "",
            taken_by=self.params.get("taken_by", ""),
            revision=self.params.get("revision", ""),
        )

    def dump(self) -> Source:
        """Write the dump; what its snapshot holds, and where the sequences stand when it has ended."""
        with databases.reading(self.server) as holder, databases.reading(self.server) as opened:
            snapshot = databases.export_snapshot(holder)
            position = databases.wal_position(self.admin)
            roles, extensions, before = read_roles(opened), read_extensions(opened), read_sequences(opened)
            with beside(lambda: self.read_source(opened, snapshot), opened.cancel) as reading:
                self.write(snapshot)
            return Source(
                replace(reading.result(), sequences=before),
                read_sequences(opened),
                roles,
                read_role_definitions(opened, roles),
                position,
                extensions,
            )

    def write(self, snapshot: str) -> None:
        """Have pg_dump write what the snapshot holds."""
        expected = store.expected_size(self.directory, self.server.database, self.about.size)
        written = progress.measured("dumping", lambda: self.partial.stat().st_size, expected)
        with self.timed("dump"), store.new_file(self.partial) as target, written:
            schema_only = () if self.with_data else ("--schema-only",)
            self.client.dump(snapshot, target, f"--compress={self.params['compress']}", *schema_only)

    def read_source(self, opened: Connection, snapshot: str) -> Reading:
        """Read what the snapshot holds, but for the sequences, which are of none."""
        with self.timed("count"):
            return read(opened, snapshot, "reading the source", self.method)

    def read_through(self, stop: threading.Event) -> tuple[str, str]:
        """The SHA-256 of the dump, and of the SQL that it stands for."""
        with self.timed("checksum"):
            sha256 = store.checksum(self.partial)
        with self.timed("read"):
            return sha256, self.client.read_through(str(self.partial), stop)

    def compare(self, source: Source, took: Help) -> tuple[Reading, list[str]]:
        """Read the restored copy; what it holds, and what of its schema is not as in the source.

        SlipwayError when its data are not what the snapshot held, or the schema is not and nobody said why that may be.
        """
        with databases.reading(self.place.server.on(self.scratch)) as opened:
            copy = read(opened, doing="comparing the copy", method=self.method)
            broken = read_integrity(opened) if self.with_data else []
        if not self.with_data:
            objects = without(source.reading.objects, DATA)
            source = replace(source, reading=replace(copy, objects=objects), sequences_after=dict(copy.sequences))
            copy = replace(copy, objects=without(copy.objects, DATA))
        rows = row_differences(source.reading.tables, copy.tables)
        stored, generated = content_differences(source.reading.contents, copy.contents)
        data = [
            *rows,
            *([] if rows else stored),
            *sequence_differences(source.reading.sequences, source.sequences_after, copy.sequences),
        ]
        schema = [*object_differences(source.reading.objects, copy.objects), *generated, *broken]
        if data or (schema and not took.failures and not self.params["unprovable"]):
            raise SlipwayError(
                f"The restored copy of database {self.server.database!r} differs from it, so the dump is no backup: "
                f"{listed(data + schema)}; when the schema was changed during the dump, run again.",
                differences=data + schema,
            )
        missing = [*took.failures, *schema] if schema or took.failures else []
        if missing and not self.params["unprovable"]:
            raise SlipwayError(
                f"{not_as_it_was(self.server.database, missing)} {self.advice}",
                differences=missing,
            )
        return copy, missing

    def discard(self) -> None:
        """Remove what is not proved. A server that is gone can't drop its database; the next run does that."""
        with contextlib.suppress(OSError):  # the error that led here is the one to tell
            self.partial.unlink(missing_ok=True)
        with contextlib.suppress(SlipwayError), sql_errors("Dropping the scratch database"):
            databases.drop(self.place.admin, self.scratch)

    def take(self) -> dict[str, Any]:
        """The whole run, under the directory's lock."""
        actions = [store.left_behind(name) for name in store.remove_partial(self.directory)]
        if databases.drop(self.admin, self.scratch):
            actions.append(databases.left_behind(self.scratch))
        actions += databases.drop_leftovers(self.admin, self.server.database)
        if not isinstance(self.own, Remote):  # for which there is something already
            actions += throwaway.removed(self.directory)
        kept = self.params["keep_scratch"]
        with opened_place(self.place, self.own, kept) as self.place:
            try:
                manifest = self.prove()
                store.publish(self.directory, manifest)
            except BaseException:
                self.discard()
                raise
            if kept:
                databases.copy_settings(self.admin, self.server.database, self.scratch, self.place.admin)
            else:
                databases.drop(self.place.admin, self.scratch)
        actions += [
            f"Dumped database {manifest.database} ({human(manifest.database_size)}, release "
            f"{manifest.release or 'unnamed'}) to {manifest.dump} ({human(manifest.size)}) in "
            f"{self.seconds['dump']:.1f} s.",
            f"Restored it into {self.scratch}{self.where} and compared {counted(len(manifest.tables), 'table')}, "
            f"{counted(manifest.rows, 'row')}, {counted(len(manifest.sequences), 'sequence')} and "
            f"{counted(sum(manifest.objects.values()), 'definition')}, in "
            f"{self.seconds['restore'] + self.seconds['compare']:.1f} s.",
            *notes(manifest),
        ]
        removed: list[str] = []
        whole = [entry.manifest for entry in store.entries(self.directory) if entry.manifest and not entry.problem]
        for old, why in to_prune(whole, manifest, Keep.from_params(self.params)):
            store.remove(self.directory, old)
            removed.append(f"Removed backup {old.name}: {why}.")
        copy = self.place.server.on(self.scratch)
        sent = offsite.after_backup(self.params, manifest)
        return {
            "changed": True,
            "actions": [*removed, *actions, *sent.actions],  # what is gone is read first
            "backup": asdict(manifest),
            "shown": manifest.shown + (f" ({sent.problem})" if sent.problem else ""),
            "offsite": {"problem": sent.problem},
            "scratch_db": self.scratch if kept else "",
            "restored_copy": self.place.shown(copy) if kept else {},
        }


@contextlib.contextmanager
def opened(params: dict[str, Any]) -> Iterator[Backup]:
    """A backup that can be taken, by a module's options, for a ``with`` block: programs, rights and space are there."""
    server = Server.from_params(params)
    scratch = params["scratch_db"] or derived_name(server.database, SCRATCH)
    offsite.Offsite.from_params(params)
    with sql_errors(f"The backup of database {server.database!r}"), autocommit(server) as admin:
        about = databases.describe(admin, server.database)
        client = Client.from_params(params, server, about.server_major)
        client.check_version()
        databases.insist_on_all_rows(server)
        databases.exists(admin, scratch)
        needed = int(about.size * params["space_factor"])
        directory = Path(params["directory"])
        own = own_server(params, client)
        if isinstance(own, Remote):  # its host was asked for the room
            store.check_space(directory, needed, "", 0, None)
        elif own and not own.container:  # the copy is in the directory, too
            store.check_space(directory, 2 * needed, "", 0, None)
        else:
            store.check_space(directory, needed, about.data_directory, needed, client.free_space(about.data_directory))
        started = datetime.datetime.now(datetime.timezone.utc)
        name = backup_name(started, params["release"])
        contents = about.size <= params["contents_limit"] * 1_000_000
        yield Backup(params, server, admin, client, about, scratch, name, started, contents=contents, own=own)
