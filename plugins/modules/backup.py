#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
author: The Slipway contributors
short_description: Back a PostgreSQL database up and prove the backup by restoring it
description:
  - Dumps O(login_db) with the server's own C(pg_dump), restores the dump into a scratch database on the same server, or
    on one of its own (O(proof_server)), and compares the two. Rows of every table must be equal to what the dump's own
    snapshot held; every sequence must stand where it stood during the dump; every object of the schema must be there
    with the same definition, owner and rights.
  - Only then the dump gets its final name and a manifest beside it. A dump without a manifest is not a backup.
  - The database stays in use meanwhile. Writes go on; statements that change the schema wait for the dump to end.
  - A run that fails or is killed leaves earlier backups alone. Partial files and the scratch database that it leaves
    are removed by the next run in the same directory.
  - O(login_user) is a superuser, or may create databases and is a member of the role that owns O(login_db). Where
    row-level security would hide rows from it, it needs BYPASSRLS, and the module fails without.
  - Subscriptions are in the dump but are neither restored nor compared.
  - With O(offsite) the proved backup, and any earlier one that is not there, is then sent to a repository of restic,
    and what O(keep) and its like keep no more is removed there too. When that fails the backup still counts as taken,
    and a warning says so; see O(offsite_insist).
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
  - slipway.deploy.offsite
  - slipway.deploy.take_backup
attributes:
  check_mode:
    support: full
    details: Checks programs, space and the scratch database's name, says what would be done, and writes nothing.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: none
    details: Every run takes a backup.
options:
  release:
    description: Release that the database belongs to when it is dumped. It becomes a part of the backup's name.
    type: str
    default: ""
  revision:
    description: Commit of that release's source, with C(-dirty) after it where files were changed since.
    type: str
    default: ""
  keep_scratch:
    description:
      - Leave the scratch database in place when the backup is proved, for a rehearsal of migrations.
      - Drop it with M(slipway.deploy.scratch_database), which needs O(directory) to remove a server of its own.
    type: bool
    default: false
  proof_at:
    description:
      - Where M(slipway.deploy.throwaway_server) has made a server on another host, for the scratch database to be on,
        as that module returns it. It wins over O(proof_server), and is removed with the scratch database.
      - The user of this module reaches it by a socket, and whoever listens on the network sees nothing but TLS.
    type: dict
    suboptions:
      name: {description: What the other host is called., type: str, required: true}
      host: {description: Its address., type: str, required: true}
      port: {description: Its port., type: int, required: true}
      certificate: {description: The certificate that it shows (PEM)., type: str, required: true}
  unprovable:
    description:
      - Why a backup may be taken though something of the schema can't be restored, such as a check that its rows
        violate by now. Needed to deploy the migration that corrects it.
      - All rows and sequences have to come back all the same. What did not, and this reason, are kept in the manifest.
    type: str
    default: ""
seealso:
  - module: slipway.deploy.backup_info
  - module: slipway.deploy.restore
  - module: slipway.deploy.scratch_database
  - module: slipway.deploy.throwaway_server
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
    - Restored it into autotest_scratch and compared 9 tables, 1,234 rows, 7 sequences and 320 definitions, in 1.8 s.
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
    revision: {description: Commit of its source., type: str}
    started: {description: When the dump's snapshot was taken (UTC)., type: str}
    finished: {description: When the comparison had ended (UTC)., type: str}
    dump: {description: File name of the dump in the directory., type: str}
    size: {description: Bytes of the dump., type: int}
    sha256: {description: SHA-256 of the dump., type: str}
    tables: {description: Rows by table., type: dict}
    rows: {description: Rows of all tables., type: int}
    sequences: {description: Where each sequence stands in the restored copy., type: dict}
    objects: {description: Number of definitions of the schema by kind., type: dict}
    schema_digest: {description: One value for all definitions., type: str}
    migrations: {description: Migrations that the history holds as applied., type: list, elements: str}
    seconds: {description: Seconds by step., type: dict}
    content: {description: SHA-256 of the SQL that the dump stands for; the same for an unchanged database., type: str}
    proved: {description: Whether the dump was restored and compared; always true when a backup was taken., type: bool}
    roles: {description: Roles that the dump names., type: list, elements: str}
    extensions: {description: Its extensions with schema, version and owner., type: list, elements: dict}
    help: {description: Why C(pg_restore) alone can't restore the dump; empty when it can., type: str}
    unproved: {description: What the restored copy did not have as the database does., type: list, elements: str}
    unprovable: {description: The option O(unprovable) where it was needed., type: str}
    taken_by: {description: "V(schedule) where it was taken on a schedule, else empty.", type: str}
    format: {description: Version of the manifest's format., type: int}
shown:
  description: The backup's name, with what is not proved and the reason, and that it is not away, in one line.
  type: str
  returned: when a backup was taken
offsite:
  description: Whether it is away.
  type: dict
  returned: when a backup was taken
  contains:
    problem: {description: Why it was not sent; empty when it was or was not to be., type: str}
restored_copy:
  description: Where the restored copy is that was left in place; empty when it was dropped.
  type: dict
  returned: success
  contains:
    location:
      description:
        - O(login_host), O(login_port), O(login_unix_socket), O(login_db), O(ssl_mode) and O(ca_cert) of the copy, as
          the host reaches it. Roles and passwords are those of the database.
      type: dict
    container:
      description: Container whose programs reach it; empty where they are the host's.
      type: str
    container_socket_dir: {description: The directory of its socket as that container sees it., type: str}
scratch_db:
  description: The scratch database that was left in place; empty when it was dropped.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.offsite import OFFSITE_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._backup.place import PLACE_THERE_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._backup.prune import KEEP_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._backup.take import TAKE_SPEC, opened
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._text import human

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **CLIENT_SPEC,
    **OFFSITE_SPEC,
    **KEEP_SPEC,
    **TAKE_SPEC,
    **PLACE_THERE_SPEC,
    "directory": {"type": "path", "required": True},
    "application": {"type": "str", "required": True},
    "environment_name": {"type": "str", "required": True},
    "release": {"type": "str", "default": ""},
    "revision": {"type": "str", "default": ""},
    "scratch_db": {"type": "str"},
    "keep_scratch": {"type": "bool", "default": False},
    "unprovable": {"type": "str", "default": ""},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    params: dict[str, Any] = module.params
    with opened(params) as backup:
        left_behind = databases.exists(backup.admin, backup.scratch)
        if not module.check_mode:
            with store.locked(backup.directory):
                result = backup.take()
            if result["offsite"]["problem"]:
                module.warn(result["offsite"]["problem"])
            return result
    return {
        "changed": True,
        "actions": [
            f"Would dump database {backup.server.database} ({human(backup.about.size)}) into {backup.directory}, "
            f"restore the dump into {backup.scratch}{' (dropped first)' if left_behind else ''}{backup.where} and "
            "compare the two.",
            *([f"Would then send it to {params['offsite']}."] if params["offsite"] else []),
        ],
        "backup": {
            "database": backup.server.database,
            "database_size": backup.about.size,
            "release": params["release"],
            "proved": False,
        },
        "scratch_db": backup.scratch if params["keep_scratch"] else "",
        "restored_copy": {},
    }


def main() -> None:
    run(
        AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("bindir", "container")]),
        work,
    )


if __name__ == "__main__":
    main()
