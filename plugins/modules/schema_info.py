#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_info
author: The Slipway contributors
short_description: Tables, row counts and rights in an application's database
description:
  - Reads the tables of all schemas of the application with their row counts, and tells where a client role can change
    the schema or can't work. What the migrations say of rights wins, so far as a snapshot of the schema was recorded
    after them, see M(slipway.deploy.schema_drift); what was granted or revoked by hand is for that module to tell.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.access_roles
  - slipway.deploy.count
  - slipway.deploy.postgres
"""

EXAMPLES = r"""
- name: Look at the tables
  slipway.deploy.schema_info:
    login_host: db.example.com
    login_user: autotest_owner
    login_password: "{{ postgres_owner_password }}"
    login_db: autotest
    owner: autotest_owner
    application: autotest_app
    readonly: autotest_readonly
  register: found
"""

RETURN = r"""
schema:
  description: What was found.
  type: dict
  returned: success
  contains:
    collations:
      description: What is wrong, with the remedy, where the system sorts text otherwise than was noted; else empty.
      type: str
    empty: {description: Whether it is known that no table holds a row., type: bool}
    environment: {description: Environment that the database is marked with., type: str}
    relations:
      description:
        - The tables with their C(columns) (name, type, required, key) and C(references) (columns, table), the foreign
          keys; none where there are more than 200 tables.
      type: list
      elements: dict
    remarks: {description: What is to be told and is no violation., type: list, elements: str}
    rows: {description: Sum of the row counts that are known., type: int}
    tables:
      description:
        - The tables with schema, name, rows, exact (false for an estimate), bytes, and hidden, the reason why rows is
          none.
      type: list
      elements: dict
    uncounted: {description: A sentence for each table whose rows can't be counted., type: list, elements: str}
    violations:
      description: A sentence for each way in which a client role can change the schema or can't work.
      type: list
      elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._schema.inspection import INSPECTION_SPEC, inspect


def work(module: AnsibleModule) -> dict[str, Any]:
    return {"changed": False, "schema": inspect(Server.from_params(module.params), module.params)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**CONNECTION_SPEC, **INSPECTION_SPEC},
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
