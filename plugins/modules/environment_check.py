#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: environment_check
author: The Slipway contributors
short_description: See that a database is of this environment before anything is done to it
description:
  - Stops when the database carries another environment's name, or the file C(database.json), in which
    M(slipway.deploy.database) remembers the environment on the host, or the ledger of the runs says another.
  - Where the server may be stopped, the files alone may tell. What none of them tells is not assumed; the operator
    confirms it by name.
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
  environment_name:
    description: Name of the environment.
    type: str
    required: true
  directory:
    description: Slipway's state directory of the environment on the host.
    type: path
    required: true
  stopped:
    description: Whether the server may be stopped, or its database missing.
    type: bool
    default: false
  confirmed:
    description: Whether the operator has typed the environment's name, which counts where nothing else tells.
    type: bool
    default: false
seealso:
  - module: slipway.deploy.database
"""

EXAMPLES = r"""
- name: Insist on this environment's database
  slipway.deploy.environment_check:
    login_unix_socket: /var/lib/slipway/shop/prod/run
    login_user: shop_owner
    login_password: "{{ vault_database_owner_password }}"
    login_db: shop
    environment_name: prod
    directory: /var/lib/slipway/shop/prod
"""

RETURN = r"""
environment:
  description: The environment that the database carries or that is remembered; empty where neither is so.
  type: str
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access import stamp
from ansible_collections.slipway.deploy.plugins.module_utils._connection import (
    CONNECTION_SPEC,
    Server,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._deployment import Ledger
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._identity import FILE, check_environment
from ansible_collections.slipway.deploy.plugins.module_utils._module import run

# What a deploy leaves in the state directory before it has succeeded: the server's identity, an embedded server's data.
TRACES = (FILE, "postgres")


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    server, directory, ours = Server.from_params(params), Path(params["directory"]), params["environment_name"]
    marked, silence = "", "it carries no environment's name"
    try:
        with sql_errors("Reading the database's mark"), connection(server) as opened, opened.cursor() as cursor:
            marked = stamp(cursor)
    except SlipwayError as error:
        if not params["stopped"]:
            raise
        silence = str(error).rstrip(".")
    if marked not in ("", ours):
        raise SlipwayError(
            f"Database {server.database} belongs to environment {marked} but this inventory is {ours}: nothing was "
            "changed; use the right inventory, or the right server in this one."
        )
    known = check_environment(directory / FILE, ours) or Ledger(directory).check_last(ours) or marked
    anything = any((directory / name).exists() for name in TRACES)
    if params["stopped"] and anything and not known and not params["confirmed"]:
        raise SlipwayError(
            f"Which environment database {server.database} belongs to is not known, since {directory / FILE} does not "
            f"say and the database can't ({silence}): nothing was changed; start its server by a deploy, or confirm by "
            f"-e confirm={ours} that it is of {ours}."
        )
    return {"changed": False, "environment": known}


def main() -> None:
    spec: dict[str, dict[str, Any]] = {
        **CONNECTION_SPEC,
        "environment_name": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
        "stopped": {"type": "bool", "default": False},
        "confirmed": {"type": "bool", "default": False},
    }
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
