#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: scratch_database
author: The Slipway contributors
short_description: Drop a scratch database
description:
  - Drops a database that M(slipway.deploy.backup) or M(slipway.deploy.restore) made, with the sessions that are in it.
  - A database that does not carry Slipway's mark is never touched; the module fails.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Says whether there is one to drop, and drops nothing.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: full
    details: A database that is not there is not dropped.
options:
  name:
    description: The database to drop. The default is O(login_db) with C(_scratch) appended.
    type: str
  state:
    description: Only V(absent); M(slipway.deploy.backup) makes scratch databases.
    type: str
    choices: [absent]
    default: absent
seealso:
  - module: slipway.deploy.backup
"""

EXAMPLES = r"""
- name: Drop the copy that the migrations were rehearsed on
  slipway.deploy.scratch_database:
    login_unix_socket: /var/lib/slipway/autotest/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: [Dropped database autotest_scratch.]
scratch_database:
  description: Name of the database.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils import _backup_database as databases
from ansible_collections.slipway.deploy.plugins.module_utils._backup import SCRATCH, derived_name
from ansible_collections.slipway.deploy.plugins.module_utils._connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run


def work(module: AnsibleModule) -> dict[str, Any]:
    server = Server.from_params(module.params)
    name = module.params["name"] or derived_name(server.database, SCRATCH)
    with sql_errors(f"Dropping database {name!r}"), autocommit(server) as cursor:
        changed = databases.exists(cursor, name) if module.check_mode else databases.drop(cursor, name)
    verb = "Would drop" if module.check_mode else "Dropped"
    return {"changed": changed, "actions": [f"{verb} database {name}."] if changed else [], "scratch_database": name}


def main() -> None:
    spec: dict[str, dict[str, Any]] = {
        **CONNECTION_SPEC,
        "name": {"type": "str"},
        "state": {"type": "str", "choices": ["absent"], "default": "absent"},
    }
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
