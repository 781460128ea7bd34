#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_info
author: The Slipway contributors
short_description: Tables, row counts and rights in an application's database
description:
  - Reads the tables of the schemas with their row counts, and compares the rights of the client roles with what
    M(slipway.deploy.database) gives them.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Only reads.
  diff_mode:
    support: none
    details: Changes nothing.
  idempotent:
    support: full
    details: Only reads.
options:
  owner:
    description: Role that owns the database.
    type: str
    required: true
  application:
    description: Role of the application.
    type: str
    required: true
  readonly:
    description: Role that only reads.
    type: str
    required: true
  schemas:
    description: Schemas of the application.
    type: list
    elements: str
    default: [public]
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
    empty: {description: Whether no table holds a row., type: bool}
    environment: {description: Environment that the database is marked with., type: str}
    rows: {description: Sum of the row counts., type: int}
    tables:
      description: The tables with schema, name, rows, exact (false for an estimate) and bytes.
      type: list
      elements: dict
    violations: {description: A sentence for each right that is missing or too many., type: list, elements: str}
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils import _schema
from ansible_collections.slipway.deploy.plugins.module_utils._access import Roles, stamp
from ansible_collections.slipway.deploy.plugins.module_utils._connection import (
    CONNECTION_SPEC,
    Server,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    roles = Roles(params["owner"], params["application"], params["readonly"])
    server = Server.from_params(params)
    doing = f"Reading database {server.database!r} as role {server.user!r}"
    with sql_errors(doing), connection(server) as opened, opened.cursor() as cursor:
        # On autocommit the locks of what is counted go with each statement, and a server has only so many.
        opened.set_session(readonly=True, autocommit=True)
        tables = _schema.tables(cursor, params["schemas"])
        return {
            "changed": False,
            "schema": {
                "empty": all(table.rows == 0 for table in tables),
                "environment": stamp(cursor),
                "rows": sum(table.rows for table in tables),
                "tables": [asdict(table) for table in tables],
                "violations": _schema.violations(cursor, params["schemas"], roles),
            },
        }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_SPEC,
            "owner": {"type": "str", "required": True},
            "application": {"type": "str", "required": True},
            "readonly": {"type": "str", "required": True},
            "schemas": {"type": "list", "elements": "str", "default": ["public"]},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
