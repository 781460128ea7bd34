#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
author: The Slipway contributors
short_description: Back a PostgreSQL database up and prove the backup by restoring it
description:
  - Dumps O(login_db) with the server's own C(pg_dump), restores the dump into a scratch database on the same server and
    compares the two. Rows of every table must be equal to what the dump's own snapshot held; every sequence must stand
    where it stood during the dump; every object of the schema must be there with the same definition, owner and rights.
  - Only then the dump gets its final name and a manifest beside it. A dump without a manifest is not a backup.
  - The database stays in use meanwhile. Writes go on; statements that change the schema wait for the dump to end.
  - A run that fails or is killed leaves earlier backups alone. Partial files and the scratch database that it leaves
    are removed by the next run in the same directory.
  - O(login_user) is a superuser, or may create databases and is a member of the role that owns O(login_db).
  - Subscriptions are in the dump but are neither restored nor compared.
extends_documentation_fragment:
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
attributes:
  check_mode:
    support: full
    description: Checks programs, space and the scratch database's name, says what would be done, and writes nothing.
  diff_mode:
    support: none
    description: There is nothing to compare with.
  idempotent:
    support: none
    description: Every run takes a backup.
options:
  directory:
    description: Directory of backups on the host. Created with mode 0700 where it is missing; its files have mode 0600.
    type: path
    required: true
  application:
    description: Name of the application, kept in the manifest.
    type: str
    required: true
  environment_name:
    description: Name of the environment, kept in the manifest.
    type: str
    required: true
  release:
    description: Release that the database belongs to when it is dumped. It becomes a part of the backup's name.
    type: str
    default: ""
  scratch_db:
    description:
      - Database to restore into, created and then dropped. The default is O(login_db) with C(_scratch) appended.
      - A database of that name that does not carry Slipway's mark is never touched; the module fails.
      - Only the database's owner and superusers can connect to it.
    type: str
  keep_scratch:
    description:
      - Leave the scratch database in place when the backup is proved, for a rehearsal of migrations.
      - Drop it with M(slipway.deploy.scratch_database).
    type: bool
    default: false
  keep:
    description:
      - How many proved backups of the same application, environment and database to keep; older ones are removed.
      - V(0) keeps all.
    type: int
    default: 14
seealso:
  - module: slipway.deploy.backup_info
  - module: slipway.deploy.restore
  - module: slipway.deploy.scratch_database
"""

EXAMPLES = r"""
- name: Take a proved backup of a database in a container
  slipway.deploy.backup:
    login_unix_socket: /var/lib/slipway/autotest/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
    container: autotest-test-postgres
    directory: /var/lib/slipway/autotest/test/backups
    application: autotest
    environment_name: test
    release: 1.4.2
    keep_scratch: true
  register: backup
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each, with figures.
  type: list
  elements: str
  returned: success
  sample:
    - Dumped database autotest (312 MB, release 1.4.2) to 20250806T093012.345Z_1.4.2.dump (45 MB) in 0.6 s.
    - Restored it into autotest_scratch and compared 9 tables, 1,234 rows, 7 sequences and 120 objects, in 1.8 s.
backup:
  description:
    - The manifest. In check mode only RV(backup.database), RV(backup.database_size), RV(backup.release) and
      RV(backup.proved).
  type: dict
  returned: success
  contains:
    name:
      description: Name of the backup, which M(slipway.deploy.restore) takes.
      type: str
    application: {description: Name of the application., type: str}
    environment: {description: Name of the environment., type: str}
    database: {description: Name of the database., type: str}
    database_size: {description: Bytes that the database takes on the server., type: int}
    release: {description: Release that the database belonged to., type: str}
    server_version: {description: Version of the server., type: str}
    server_major: {description: Major version of the server., type: int}
    system_identifier: {description: Identifier of the cluster., type: str}
    started: {description: When the dump's snapshot was taken (UTC)., type: str}
    finished: {description: When the comparison had ended (UTC)., type: str}
    dump: {description: File name of the dump in the directory., type: str}
    size: {description: Bytes of the dump., type: int}
    sha256: {description: SHA-256 of the dump., type: str}
    tables: {description: Rows by table., type: dict}
    rows: {description: Rows of all tables., type: int}
    sequences: {description: Where each sequence stands in the restored copy., type: dict}
    objects: {description: Number of objects of the schema by kind., type: dict}
    schema_digest: {description: One value for all definitions., type: str}
    migrations: {description: Migrations that the history holds as applied., type: list, elements: str}
    seconds: {description: Seconds by step., type: dict}
    proved: {description: Whether the dump was restored and compared; always true when a backup was taken., type: bool}
    format: {description: Version of the manifest's format., type: int}
scratch_db:
  description: The scratch database that was left in place; empty when it was dropped.
  type: str
  returned: success
"""

import contextlib
import datetime
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils import _backup_database as databases
from ansible_collections.slipway.deploy.plugins.module_utils import _backup_store as store
from ansible_collections.slipway.deploy.plugins.module_utils._backup import (
    SCRATCH,
    Manifest,
    Reading,
    SequenceValue,
    backup_name,
    counted,
    derived_name,
    human,
    listed,
    object_differences,
    row_differences,
    sequence_differences,
    superfluous,
)
from ansible_collections.slipway.deploy.plugins.module_utils._backup_catalogue import read, read_sequences
from ansible_collections.slipway.deploy.plugins.module_utils._connection import CONNECTION_SPEC, Server, connection
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._pg_client import CLIENT_SPEC, Client

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812  (the driver's own name for a class)

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **CLIENT_SPEC,
    "directory": {"type": "path", "required": True},
    "application": {"type": "str", "required": True},
    "environment_name": {"type": "str", "required": True},
    "release": {"type": "str", "default": ""},
    "scratch_db": {"type": "str"},
    "keep_scratch": {"type": "bool", "default": False},
    "keep": {"type": "int", "default": 14},
}


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
            self.client.read_through(str(self.partial))
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
        )

    def dump(self) -> tuple[Reading, dict[str, SequenceValue]]:
        """Write the dump; what its snapshot holds, and where the sequences stand when it has ended."""
        with connection(self.server, **databases.PATIENT) as opened:
            snapshot = databases.open_snapshot(opened)
            with opened.cursor() as cursor:
                with self.timed("count"):
                    source = read(cursor)
                with self.timed("dump"), store.new_file(self.partial) as target:
                    self.client.dump(snapshot, target)
                return source, read_sequences(cursor)

    def compare(self, source: Reading, sequences_after: dict[str, SequenceValue]) -> Reading:
        """Read the restored copy; SlipwayError when it is not what the snapshot held."""
        with connection(self.server.on(self.scratch), **databases.PATIENT) as opened, opened.cursor() as cursor:
            copy = read(cursor)
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
        self.partial.unlink(missing_ok=True)
        with contextlib.suppress(SlipwayError), databases.sql_errors("Dropping the scratch database"):
            databases.drop(self.admin, self.scratch)

    def take(self) -> dict[str, Any]:
        """The whole run, under the directory's lock."""
        actions = [
            f"Removed {name}, which an interrupted run left behind." for name in store.remove_partial(self.directory)
        ]
        if databases.drop(self.admin, self.scratch):
            actions.append(f"Dropped database {self.scratch}, which an earlier run left behind.")
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
        known = [entry.manifest for entry in store.entries(self.directory) if entry.manifest]
        for old in superfluous(known, manifest, self.params["keep"]):
            store.remove(self.directory, old)
            actions.append(f"Removed backup {old.name}: the newest {self.params['keep']} are kept.")
        return {
            "changed": True,
            "actions": actions,
            "backup": asdict(manifest),
            "scratch_db": self.scratch if kept else "",
        }


def work(module: AnsibleModule) -> dict[str, Any]:
    params: dict[str, Any] = module.params
    server = Server.from_params(params)
    scratch = params["scratch_db"] or derived_name(server.database, SCRATCH)
    with databases.sql_errors(f"The backup of database {server.database!r}"), databases.autocommit(server) as admin:
        about = databases.describe(admin, server.database)
        client = Client.from_params(params, server, about.server_major)
        client.check_version()
        left_behind = databases.exists(admin, scratch)
        needed = int(about.size * params["space_factor"])
        directory = Path(params["directory"])
        store.check_space(directory, needed, about.data_directory, needed, client.free_space(about.data_directory))
        if not module.check_mode:
            started = datetime.datetime.now(datetime.timezone.utc)
            name = backup_name(started, params["release"])
            with store.locked(directory):
                return Backup(params, server, admin, client, about, scratch, name, started).take()
    return {
        "changed": True,
        "actions": [
            f"Would dump database {server.database} ({human(about.size)}) into {directory}, restore the dump into "
            f"{scratch}{' (dropped first)' if left_behind else ''} and compare the two."
        ],
        "backup": {
            "database": server.database,
            "database_size": about.size,
            "release": params["release"],
            "proved": False,
        },
        "scratch_db": scratch if params["keep_scratch"] else "",
    }


def main() -> None:
    run(
        AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("bindir", "container")]),
        work,
    )


if __name__ == "__main__":
    main()
