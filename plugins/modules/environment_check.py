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
  - Opens the environment's database where a restore of an earlier version, killed in its swap, left it closed. One that
    somebody closed stays as it is.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.interrupted
attributes:
  check_mode:
    support: full
    details: Says that it would open the database.
  diff_mode:
    support: none
    details: C(actions) says what was done.
  idempotent:
    support: full
    details: An open database is only read.
options:
  environment_name:
    description: Name of the environment.
    type: str
    required: true
  directory:
    description: Slipway's state directory of the environment on the host.
    type: path
    required: true
  admin_login:
    description: Another role, which owns the database or is a superuser, to open it by.
    type: dict
    suboptions:
      login_user:
        description: Its name.
        type: str
        required: true
      login_password:
        description: Its password.
        type: str
        default: ""
  maintenance_db:
    description: Another database of the server, to which that role connects.
    type: str
    default: postgres
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
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
environment:
  description: The environment that the database carries or that is remembered; empty where neither is so.
  type: str
  returned: success
"""

import contextlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import comment, find_stamp, stamp
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    LOGIN_SPEC,
    Server,
    autocommit,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.identity import FILE, check_environment
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interrupted import INTERRUPTED_SPEC, ending
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger

# What a deploy leaves in the state directory before it has succeeded: the server's identity, an embedded server's data.
TRACES = (FILE, "postgres")


def remembered(params: dict[str, Any]) -> str:
    """The environment that the state directory tells; SlipwayError when it is another one."""
    directory, ours = Path(params["directory"]), params["environment_name"]
    return check_environment(directory / FILE, ours) or Ledger(directory).check_last(ours)


def look(module: AnsibleModule, server: Server) -> tuple[str, list[str]]:
    """The environment's name that the database carries, and what was done so that it can be entered."""
    params = module.params
    try:
        with sql_errors("Reading the database's mark"), connection(server) as opened, opened.cursor() as cursor:
            return stamp(cursor), []
    except SlipwayError as refused:
        admin = server.on(params["maintenance_db"]).by(params["admin_login"])
        with contextlib.ExitStack() as stack, sql_errors(f"Opening database {server.database!r}"):
            try:
                cursor = stack.enter_context(autocommit(admin))
            except SlipwayError:
                raise refused from None  # the server does not run, say
            marked = find_stamp(comment(cursor, server.database))
            if marked not in ("", params["environment_name"]):
                return marked, []
            remembered(params)
            actions = databases.recover(cursor, server.database, check_mode=module.check_mode)
            if not actions:
                raise
            return marked, actions


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    server, directory, ours = Server.from_params(params), Path(params["directory"]), params["environment_name"]
    marked, silence, actions = "", "it carries no environment's name", list[str]()
    try:
        marked, actions = look(module, server)
    except SlipwayError as error:
        if not params["stopped"]:
            raise
        silence = str(error).rstrip(".")
    if marked not in ("", ours):
        raise SlipwayError(
            f"Database {server.database} belongs to environment {marked} but this inventory is {ours}: nothing was "
            "changed; use the right inventory, or the right server in this one."
        )
    known = remembered(params) or marked
    anything = any((directory / name).exists() for name in TRACES)
    if params["stopped"] and anything and not known and not params["confirmed"]:
        raise SlipwayError(
            f"Which environment database {server.database} belongs to is not known, since {directory / FILE} does not "
            f"say and the database can't ({silence}): nothing was changed; start its server by a deploy, or confirm by "
            f"-e confirm={ours} that it is of {ours}."
        )
    return {"changed": bool(actions), "actions": actions, "environment": known}


def main() -> None:
    spec: dict[str, dict[str, Any]] = {
        **CONNECTION_SPEC,
        **INTERRUPTED_SPEC,
        "environment_name": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
        "admin_login": LOGIN_SPEC,
        "maintenance_db": {"type": "str", "default": "postgres"},
        "stopped": {"type": "bool", "default": False},
        "confirmed": {"type": "bool", "default": False},
    }
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), ending(work))


if __name__ == "__main__":
    main()
