#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore
author: The Slipway contributors
short_description: Put a proved backup in a database's place
description:
  - Restores a backup of M(slipway.deploy.backup) beside O(login_db), compares it with the backup's manifest, and then
    swaps the two by renaming them in one transaction. The former database is kept under another name.
  - O(login_db) stays in use while the backup is restored. It is unavailable only during the swap, well below a second
    after its sessions have ended; who connects meanwhile waits. What was written to it since the backup is in the
    former database only.
  - The new database takes over the former one's owner, settings, limits, comment (which names the environment) and the
    right to connect; what is inside it has the owners and rights of the backup. Those roles have to exist; all that are
    missing are named before anything starts.
  - A step that fails leaves O(login_db) in place as it was. A run that is killed leaves it or the restored database in
    place, open to its clients at every moment.
  - O(login_user) is a superuser, or may create databases and is a member of the roles that own it and its objects.
  - With O(offsite) a backup that is only there is fetched into O(directory) first.
  - Subscriptions are not restored.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
  - slipway.deploy.offsite
attributes:
  check_mode:
    support: full
    details: Checks the backup, its SHA-256, the programs and the space, says what would be done, writes nothing.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: none
    details: Every run restores.
options:
  directory:
    description: Directory of backups on the host.
    type: path
    required: true
  backup:
    description:
      - Name of the backup, or V(latest) for the newest one of the application and environment.
      - An older one is never taken because the newest is damaged; the module fails and says so.
    type: str
    default: latest
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
  from_directory:
    description: Directory on the host to take the backup from, where it is another one than O(directory).
    type: path
  masking:
    description:
      - What is done to the copy before it takes the database's place, by table and column. A rule is C(keep), C(null),
        C(hash) (the same for the same value, in this restore alone), C(fixed), or an expression of SQL. Columns that
        are computed need none.
      - A table that has a rule has one for each of its columns that may hold text (text, character, citext, json, xml,
        bytea, hstore, and what is made of those), or nothing is restored. Other tables stay as they are.
      - The application's triggers and rules do not see it, foreign keys hold. The tables are rewritten afterwards, and
        materialised views filled anew, so that nothing of before is left in their files.
    type: dict
    default: {}
  maintenance_db:
    description: Database to connect to while O(login_db) is renamed.
    type: str
    default: postgres
  unprovable:
    description:
      - Why a backup may be restored though something of its schema can't be, such as a check that its rows violate by
        now.
      - All rows and sequences have to come back all the same. What did not is told.
    type: str
    default: ""
seealso:
  - module: slipway.deploy.backup
  - module: slipway.deploy.backup_info
"""

EXAMPLES = r"""
- name: Go back to the newest backup
  slipway.deploy.restore:
    login_unix_socket: /var/lib/slipway/autotest/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
    container: autotest-test-postgres
    directory: /var/lib/slipway/autotest/test/backups
    application: autotest
    environment_name: test
  register: restored
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
    backup: {description: Name of the backup., type: str}
    environment: {description: Environment that the backup is of., type: str}
    release: {description: Release that the backup is of., type: str}
    started: {description: When the backup's snapshot was taken (UTC)., type: str}
    database: {description: Name of the database that was replaced., type: str}
    kept_database: {description: Name that the former database has now., type: str}
    tables: {description: Number of tables., type: int}
    rows: {description: Rows of all tables., type: int}
    migrations: {description: Migrations that the history holds as applied., type: list, elements: str}
    seconds:
      description: Seconds by step; C(swap) is how long nobody could connect. Empty in check mode.
      type: dict
"""

import contextlib
from functools import partial
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import archive, masking, offsite, store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.restore import Restore, opened
from ansible_collections.slipway.deploy.plugins.module_utils._backup.some_tables import known
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, human

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **CLIENT_SPEC,
    **offsite.OFFSITE_SPEC,
    "directory": {"type": "path", "required": True},
    "backup": {"type": "str", "default": "latest"},
    "application": {"type": "str", "required": True},
    "environment_name": {"type": "str", "required": True},
    "from_environment": {"type": "str"},
    "from_directory": {"type": "path"},
    "masking": {"type": "dict", "default": {}},
    "maintenance_db": {"type": "str", "default": "postgres"},
    "unprovable": {"type": "str", "default": ""},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    directory = Path(params["directory"])
    server = Server.from_params(params)
    source = Path(params["from_directory"] or directory)
    if params["offsite"] and not source.is_dir():
        source = directory
    found = offsite.look({**params, "directory": str(source)}, params["backup"])
    manifest = found.choose(params["backup"], params)
    if found.problem:
        module.warn(f"Only the backups on this host were looked at: {found.problem}")
    if module.check_mode and found.where(manifest.name) == "away":
        return {
            "changed": True,
            "actions": [
                f"Would fetch backup {manifest.name} ({human(manifest.size)}, {counted(manifest.rows, 'row')}) from "
                f"{params['offsite']}, restore it and put it in the place of database {server.database}."
            ],
            "restore": {"backup": manifest.name, "database": server.database, "rows": manifest.rows, "seconds": {}},
        }
    with sql_errors(f"The restore of database {server.database!r}"), contextlib.ExitStack() as stack:
        if not module.check_mode:
            stack.enter_context(store.locked(directory))
            manifest, fetched = found.fetched(manifest)
            if fetched and params["masking"]:  # what is not masked is not left here
                stack.callback(store.remove, source, manifest)
        place = stack.enter_context(opened(params))
        mask = partial(masking.mask, rules=params["masking"]) if params["masking"] else None
        restore = Restore(**place, manifest=manifest, unprovable=params["unprovable"], source=source, mask=mask)
        restore.check()
        if params["masking"]:
            listing = archive.parse(restore.client.contents(str(source / manifest.dump)))
            for name in params["masking"]:
                masking.resolve(name, known(manifest, listing))
        restore.insist_on_room(manifest.database_size, params["space_factor"])
        if not module.check_mode:
            return restore.result([*fetched, *restore.apply()])
        restore.seconds.clear()
        return restore.result(
            [
                f"Would restore backup {manifest.name} ({human(manifest.size)}, {counted(manifest.rows, 'row')}) as "
                f"{restore.restoring} and put it in the place of database {server.database}, which would be kept as "
                f"{restore.kept}." + (f" {', '.join(params['masking'])} would be masked." if params["masking"] else "")
            ]
        )


def main() -> None:
    run(
        AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("bindir", "container")]),
        work,
    )


if __name__ == "__main__":
    main()
