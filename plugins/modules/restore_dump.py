#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_dump
author: The Slipway contributors
short_description: Put a dump that was made elsewhere in a database's place
description:
  - Restores a dump of C(pg_dump) beside O(login_db), plain SQL, custom or tar format, also compressed by gzip, and then
    swaps the two by renaming them in one transaction. The former database is kept under another name.
  - The format is told by the content. A plain dump is read here and sent to the server statement by statement, and not
    by C(psql); commands for C(psql) in it are refused.
  - All that is in it is made by O(owner) and belongs to it. Owners, rights and properties of the database in the dump
    are left out; O(application) and O(readonly) have the rights that they have on what migrations make.
  - Extensions are created by O(login_user) where O(login_db) has them, or everyone may create them.
  - O(login_db) stays in use meanwhile. A step that fails leaves it as it was, and drops the copy.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
attributes:
  check_mode:
    support: full
    details: >-
      Checks the server, the programs and the space, and says what would be done. The file is not read: see
      M(slipway.deploy.dump_file).
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: none
    details: Every run restores.
options:
  path:
    description: The dump on the host. It is removed when the module has ended.
    type: path
    required: true
  name:
    description: What messages call the file.
    type: str
    required: true
  size:
    description: Bytes that it takes when it is restored, as far as that is known, for the check of the free space.
    type: int
    default: 0
  kind:
    description: What M(slipway.deploy.dump_file) has found it to be, for check mode.
    type: str
    choices: [sql, custom, tar]
    default: sql
  version:
    description: Version of the server that it is of, for check mode.
    type: str
    default: ""
  directory:
    description: Directory of backups on the host, whose lock keeps other backups and restores away.
    type: path
    required: true
  owner:
    description: Role that owns the database.
    type: str
    required: true
  owner_password:
    description: Its password.
    type: str
    required: true
  application:
    description: Role that reads and writes rows.
    type: str
    required: true
  readonly:
    description: Role that reads.
    type: str
    required: true
  maintenance_db:
    description: Database to connect to while O(login_db) is renamed.
    type: str
    default: postgres
seealso:
  - module: slipway.deploy.restore
  - module: slipway.deploy.dump_file
"""

EXAMPLES = r"""
- name: Go over to what another server had
  slipway.deploy.restore_dump:
    login_unix_socket: /var/lib/slipway/autotest/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
    container: autotest-test-postgres
    directory: /var/lib/slipway/autotest/test/backups
    path: /var/lib/slipway/autotest/test/backups/incoming.dump.partial
    name: backup.sql
    owner: autotest_owner
    owner_password: "{{ postgres_owner_password }}"
    application: autotest_app
    readonly: autotest_readonly
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each, with figures.
  type: list
  elements: str
  returned: success
restore:
  description: What was restored, and where the former database is.
  type: dict
  returned: success
  contains:
    backup: {description: The file., type: str}
    database: {description: Name of the database that was replaced., type: str}
    kept_database: {description: Name that the former database has now., type: str}
    tables: {description: Number of tables. Not in check mode., type: int}
    counts: {description: Rows by table. Not in check mode., type: dict}
    rows: {description: Rows of all tables. Not in check mode., type: int}
    migrations: {description: Migrations that are applied by its history. Not in check mode., type: list, elements: str}
    left_out: {description: "Statements that were left out, by what they are about. Not in check mode.", type: dict}
    seconds: {description: Seconds by step; C(swap) is how long nobody could connect., type: dict}
"""

import contextlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import Roles
from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.dump_file import DumpFile
from ansible_collections.slipway.deploy.plugins.module_utils._backup.import_dump import Import
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restore import opened
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    sql_errors,
)

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **CLIENT_SPEC,
    "path": {"type": "path", "required": True},
    "name": {"type": "str", "required": True},
    "size": {"type": "int", "default": 0},
    "kind": {"type": "str", "choices": ["sql", "custom", "tar"], "default": "sql"},
    "version": {"type": "str", "default": ""},
    "directory": {"type": "path", "required": True},
    "owner": {"type": "str", "required": True},
    "owner_password": {"type": "str", "required": True, "no_log": True},
    "application": {"type": "str", "required": True},
    "readonly": {"type": "str", "required": True},
    "maintenance_db": {"type": "str", "default": "postgres"},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    directory, path = Path(params["directory"]), Path(params["path"])
    server = Server.from_params(params)
    with sql_errors(f"The restore of database {server.database!r}"), contextlib.ExitStack() as stack:
        if not module.check_mode:
            stack.callback(path.unlink, missing_ok=True)
            stack.enter_context(store.locked(directory))
        importing = Import(
            **stack.enter_context(opened(params)),
            path=path,
            name=params["name"],
            roles=Roles(params["owner"], params["application"], params["readonly"]),
            owner_password=params["owner_password"],
        )
        importing.insist_on_room(params["size"], params["space_factor"])
        if not module.check_mode:
            return importing.apply()
        importing.check(DumpFile(params["name"], params["size"], params["kind"], False, params["version"]))
    return {
        "changed": True,
        "actions": [
            f"Would restore {importing.name} as {importing.restoring} and put it in the place of database "
            f"{server.database}, which would be kept as {importing.kept}."
        ],
        "restore": {
            "backup": importing.name,
            "database": server.database,
            "kept_database": importing.kept,
            "seconds": {},
        },
    }


def main() -> None:
    run(
        AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("bindir", "container")]),
        work,
    )


if __name__ == "__main__":
    main()
