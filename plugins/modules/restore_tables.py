#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_tables
author: The Slipway contributors
short_description: Restore tables of a proved backup into a schema beside
description:
  - Restores a backup of M(slipway.deploy.backup) beside O(login_db), compares it with its manifest, and brings
    O(tables) of it into a schema of O(login_db) that is named after the backup, in one transaction. Nothing else is
    touched, and what the rows are needed for is done by an C(INSERT … SELECT) of yours.
  - The tables have their rows, types, defaults, generated and identity columns, sequences, indexes, checks and
    comments. Foreign keys to other tables, triggers, rules, policies and rights are left out. Partitions come along
    with their table.
  - A type is the database's own where that is as in the backup; otherwise it comes along into the schema.
  - The schema belongs to the database's owner, who may drop it.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
  - slipway.deploy.offsite
attributes:
  check_mode:
    support: full
    details: Checks the backup, the tables' names, the programs and the space, and says what would be done.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: full
    details: Where the schema is there with these tables, nothing is done.
options:
  directory:
    description: Directory of backups on the host.
    type: path
    required: true
  backup:
    description: Name of the backup, or V(latest) for the newest one of the application and environment.
    type: str
    default: latest
  tables:
    description:
      - The tables, each as C(name) or C(schema.name), where C(*) and C(?) stand for any characters. A name alone is
        that of a table in C(public), or of the only one that has it.
    type: list
    elements: str
    required: true
  application:
    description: Application that the backup has to be of.
    type: str
    required: true
  environment_name:
    description: Environment that O(login_db) belongs to, and that the backup has to be of.
    type: str
    required: true
  from_environment:
    description: Take a backup of this other environment instead.
    type: str
  maintenance_db:
    description: Database to connect to while the backup is restored.
    type: str
    default: postgres
seealso:
  - module: slipway.deploy.restore
"""

EXAMPLES = r"""
- name: Look at what the users were yesterday
  slipway.deploy.restore_tables:
    login_unix_socket: /var/lib/slipway/autotest/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
    container: autotest-test-postgres
    directory: /var/lib/slipway/autotest/test/backups
    backup: 20250806T093012.345Z_1.4.2
    tables: [users, audit.*]
    application: autotest
    environment_name: test
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
restore:
  description: What was restored, and where it is.
  type: dict
  returned: success
  contains:
    backup: {description: Name of the backup., type: str}
    schema: {description: The schema that the tables are in., type: str}
    names: {description: "The tables, as they are named in the backup.", type: list, elements: str}
    tables: {description: Number of the tables., type: int}
    rows: {description: Rows of them by the manifest., type: int}
    seconds: {description: Seconds by step. Empty where nothing was done., type: dict}
"""

import contextlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import archive, offsite, store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restore import opened
from ansible_collections.slipway.deploy.plugins.module_utils._backup.some_tables import (
    SomeTables,
    choose,
    known,
    parsed,
    schema_of,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._text import human

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **CLIENT_SPEC,
    **offsite.OFFSITE_SPEC,
    "directory": {"type": "path", "required": True},
    "backup": {"type": "str", "default": "latest"},
    "tables": {"type": "list", "elements": "str", "required": True},
    "application": {"type": "str", "required": True},
    "environment_name": {"type": "str", "required": True},
    "from_environment": {"type": "str"},
    "maintenance_db": {"type": "str", "default": "postgres"},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    directory = Path(params["directory"])
    server = Server.from_params(params)
    found = offsite.look(params, params["backup"])
    manifest = found.choose(params["backup"], params)
    if module.check_mode and found.where(manifest.name) == "away":
        return {
            "changed": True,
            "actions": [f"Would fetch backup {manifest.name} ({human(manifest.size)}), and restore tables of it."],
            "restore": {"backup": manifest.name, "schema": schema_of(manifest.name), "seconds": {}},
        }
    fetched: list[str] = []
    with sql_errors(f"The restore of tables into database {server.database!r}"), contextlib.ExitStack() as stack:
        if not module.check_mode:
            stack.enter_context(store.locked(directory))
            manifest, fetched = found.fetched(manifest)
        some = SomeTables(**stack.enter_context(opened(params)), manifest=manifest)
        some.check()
        listing = archive.parse(some.client.contents(str(directory / manifest.dump)))
        some.tables = choose(params["tables"], known(manifest, listing), manifest.name)
        some.schema = schema_of(manifest.name)
        there = some.there()
        some.insist_on_room(manifest.database_size, params["space_factor"])
        some.seconds.clear()
        names = ", ".join(some.shown)
        if there is not None:
            actions = [
                f"Schema {some.schema} is there already with {names}, from an earlier run, so nothing was done: drop "
                f"it when nobody needs it any more (DROP SCHEMA {some.schema} CASCADE)."
            ]
        elif module.check_mode:
            actions = [
                f"Would restore {names} of backup {manifest.name} into schema {some.schema}, and touch nothing else."
            ]
        else:
            actions = [*fetched, *some.apply()]
    rows = sum(number for name, number in manifest.tables.items() if parsed(name) in some.tables)
    return {
        "changed": there is None,
        "actions": actions,
        "restore": {
            "backup": manifest.name,
            "schema": some.schema,
            "names": some.shown,
            "tables": len(some.tables),
            "rows": rows,
            "seconds": some.seconds,
        },
    }


def main() -> None:
    run(
        AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("bindir", "container")]),
        work,
    )


if __name__ == "__main__":
    main()
