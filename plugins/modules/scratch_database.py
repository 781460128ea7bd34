#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: scratch_database
author: The Slipway contributors
short_description: Copy a database that nobody is in, or drop such a copy
description:
  - Copies O(login_db) file by file, which is possible only while nobody is in it, as in one that is new.
  - Drops a database that M(slipway.deploy.backup) or M(slipway.deploy.restore) made, with the sessions that are in it,
    and the copy of it that M(slipway.deploy.release_probe) may have left.
  - Removes the throw-away server that such a copy is on, with all that it holds.
  - A database that does not carry Slipway's mark is never touched; the module fails.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Says whether there is one to make or to drop, and writes nothing.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: partial
    details: A database that is not there is not dropped. A copy is made on every run.
options:
  name:
    description: The copy. The default is O(login_db) with C(_scratch) appended.
    type: str
  state:
    description:
      - V(present) makes the copy anew. Only the database's owner and superusers can connect to it.
      - V(absent) drops one that this module, M(slipway.deploy.backup) or M(slipway.deploy.restore) made.
    type: str
    choices: [absent, present]
    default: absent
  directory:
    description:
      - Directory of M(slipway.deploy.backup) on the host. With O(state=absent), a throw-away server that a backup has
        left there for the copy is removed, and O(login_db) is not connected to.
    type: path
  maintenance_db:
    description: Database to connect to while O(login_db) is copied.
    type: str
    default: postgres
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

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases, throwaway
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import AGAIN, SCRATCH, derived_name


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    server = Server.from_params(params)
    name = module.params["name"] or derived_name(server.database, SCRATCH)
    wanted = module.params["state"] == "present"
    own = Path(params["directory"]) if params["directory"] and not wanted else None
    if own and (throwaway.exists if module.check_mode else throwaway.remove)(own):
        said = "Would remove" if module.check_mode else "Removed"
        actions = [f"{said} the throw-away server with database {name}."]
        return {"changed": True, "actions": actions, "scratch_database": name}
    doing = f"Copying database {server.database!r}" if wanted else f"Dropping database {name!r}"
    with sql_errors(doing), autocommit(server.on(params["maintenance_db"]) if wanted else server) as cursor:
        changed = (databases.exists if module.check_mode else databases.drop)(cursor, name)
        if changed and not wanted and not module.check_mode:
            databases.drop(cursor, derived_name(name, AGAIN))
        if wanted and not module.check_mode:
            databases.copy(cursor, server.database, name)
    done = ("copy", "Copied") if wanted else ("drop", "Dropped")
    what = f"database {server.database} as {name}" if wanted else f"database {name}"
    said = f"Would {done[0]} {what}." if module.check_mode else f"{done[1]} {what}."
    return {"changed": changed or wanted, "actions": [said] if changed or wanted else [], "scratch_database": name}


def main() -> None:
    spec: dict[str, dict[str, Any]] = {
        **CONNECTION_SPEC,
        "name": {"type": "str"},
        "state": {"type": "str", "choices": ["absent", "present"], "default": "absent"},
        "directory": {"type": "path"},
        "maintenance_db": {"type": "str", "default": "postgres"},
    }
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
