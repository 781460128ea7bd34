#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_sql
author: The Slipway contributors
short_description: Write a database's schema as SQL to a file of the controller
version_added: 0.1.0
description:
  - Writes what makes the schema of a database, in the order in which C(pg_dump) has it, which
    depends on the schema alone. Owners, rights, tablespaces, publications, subscriptions, the history of
    migrations, and what is Slipway's own are not in it.
  - The same schema always gives the same file. In check mode O(path) is compared with the schema and stays as it is.
extends_documentation_fragment:
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
  - slipway.deploy.attributes
  - slipway.deploy.interrupted
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: The file on the controller.
    type: path
    required: true
  history:
    description: The table with the history of migrations, which is left out.
    type: str
    default: public._prisma_migrations
"""

EXAMPLES = r"""
- name: Write the schema
  slipway.deploy.schema_sql:
    path: "{{ playbook_dir }}/../schema.sql"
    login_unix_socket: /srv/shop/run
    login_user: shop_owner
    login_password: "{{ vault_database_owner_password }}"
    login_db: shop
"""

RETURN = r"""
sql:
  description: The schema as SQL.
  returned: success
  type: str
current:
  description: Whether the file was as the schema is.
  returned: success
  type: bool
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import (
    CLIENT_SPEC,
    Client,
    conninfo,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import reading
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interrupted import INTERRUPTED_SPEC, ending
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

LEFT_OUT = (
    *("--no-owner", "--no-privileges", "--no-security-labels", "--no-tablespaces"),
    *("--no-publications", "--no-subscriptions"),
)


def work(module: AnsibleModule) -> dict[str, Any]:
    server = Server.from_params(module.params)
    with reading(server) as opened:
        client = Client.from_params(module.params, server, opened.server_version // 10_000)
    client.check_version()
    schema, _dot, table = module.params["history"].rpartition(".")
    without = ("--exclude-schema=slipway", f"--exclude-table={quote(schema)}.{quote(table)}")
    dump = client.run("pg_dump", "--schema-only", *LEFT_OUT, *without, f"--dbname={conninfo(server.database)}")
    return {"changed": False, "sql": dump}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_SPEC,
            **CLIENT_SPEC,
            **INTERRUPTED_SPEC,
            "path": {"type": "path", "required": True},
            "history": {"type": "str", "default": "public._prisma_migrations"},
        },
        supports_check_mode=True,
    )
    run(module, ending(work))


if __name__ == "__main__":
    main()
