#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_test
author: The Slipway contributors
short_description: Find out whether a database could be had back from a dump
description:
  - Dumps O(login_db), restores the dump into another scratch database and compares the two, as M(slipway.deploy.backup)
    does, and keeps neither. Meant for the copy that migrations were rehearsed on, so that a schema that can't be
    restored is found before it is the database's.
  - PostgreSQL restores one table after another, with an empty C(search_path) and later than the rows were written.
    Checks, indexes and generated columns that depend on more than their own row may fail then.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
attributes:
  check_mode:
    support: full
    details: Does nothing.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: full
    details: Nothing is changed.
options:
  compress:
    description: How to compress the dump, as O(slipway.deploy.backup#module:compress).
    type: str
    default: "1"
  directory:
    description: Directory on the host for the dump while it is needed; the one of the backups.
    type: path
    required: true
  data_limit:
    description:
      - Megabytes up to which the rows of a database are dumped and restored too. Of a larger one only the schema is,
        in which failures that depend on rows are not found.
    type: int
    default: 1000
  unprovable:
    description: Why a database is to be accepted though something of its schema can't be restored.
    type: str
    default: ""
seealso:
  - module: slipway.deploy.backup
"""

EXAMPLES = r"""
- name: Restore the migrated copy once more
  slipway.deploy.restore_test:
    login_unix_socket: /var/lib/slipway/autotest/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest_scratch
    container: autotest-test-postgres
    directory: /var/lib/slipway/autotest/test/backups
"""

RETURN = r"""
unproved:
  description: What the restored copy does not have as O(login_db) does; allowed by O(unprovable).
  type: list
  elements: str
  returned: success
"""

import datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.contents import read_clock_checks
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import backup_name, notes
from ansible_collections.slipway.deploy.plugins.module_utils._backup.take import Backup
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC, Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import AGAIN, derived_name
from ansible_collections.slipway.deploy.plugins.module_utils._text import listed

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **CLIENT_SPEC,
    "directory": {"type": "path", "required": True},
    "data_limit": {"type": "int", "default": 1000},
    "compress": {"type": "str", "default": "1"},
    "unprovable": {"type": "str", "default": ""},
}
ADVICE = "Correct the migration that made it so, or set unprovable to the reason for applying it all the same."


def work(module: AnsibleModule) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": False, "unproved": []}
    params = {**module.params, "application": "", "environment_name": "", "release": "restore_test"}
    server = Server.from_params(params)
    directory = Path(params["directory"])
    started = datetime.datetime.now(datetime.timezone.utc)
    name = backup_name(started, params["release"])
    with sql_errors(f"The restore of database {server.database!r}"), autocommit(server) as admin:
        about = databases.describe(admin, server.database)
        client = Client.from_params(params, server, about.server_major)
        databases.insist_on_all_rows(server)
        with_data = about.size <= params["data_limit"] * 1_000_000
        needed = int(about.size * params["space_factor"]) if with_data else 0
        store.check_space(directory, needed, about.data_directory, needed, client.free_space(about.data_directory))
        again = derived_name(server.database, AGAIN)
        with store.locked(directory):
            databases.drop(admin, again)
            backup = Backup(params, server, admin, client, about, again, name, started, with_data, advice=ADVICE)
            try:
                manifest = backup.prove()
            except SlipwayError as error:
                raise SlipwayError(f"What the migrations make can't be restored from a backup. {error}") from error
            finally:
                backup.discard()
        with databases.reading(server) as opened:
            clock = read_clock_checks(opened)
    for note in notes(manifest):
        module.warn(f"After these migrations: {note}")
    if clock:
        module.warn(
            f"After these migrations a check looks at the clock or the session: {listed(clock)}. Rows can violate it "
            "later without being changed, and then no backup can be proved: compare columns with each other, or check "
            "in the application."
        )
    return {"changed": False, "unproved": manifest.unproved}


def main() -> None:
    run(
        AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("bindir", "container")]),
        work,
    )


if __name__ == "__main__":
    main()
