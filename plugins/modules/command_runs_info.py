#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``command_runs_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: command_runs_info
author: The Slipway contributors
short_description: The last runs of scheduled commands
version_added: 0.1.0
description:
  - Reads when commands ran last, where and how that ended, from the table that M(slipway.deploy.command_runs) makes.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.postgres
options:
  commands:
    description: Names of the commands.
    type: list
    elements: str
    required: true
  most:
    description: How many runs of each to return.
    type: int
    default: 1
  optional:
    description: Whether a database that can't be asked is told in RV(lines), and is no failure.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: See when the database was cleaned up
  slipway.deploy.command_runs_info:
    login_unix_socket: /var/lib/slipway/shop/test/run
    login_user: shop_owner
    login_password: "{{ owner_password }}"
    login_db: shop
    commands: [cleanup]
  register: found
"""

RETURN = r"""
runs:
  description: The runs of each command, the newest first.
  type: list
  elements: dict
  returned: success
  contains:
    command: {description: Its name., type: str}
    due: {description: The time for which it ran (UTC)., type: str}
    host: {description: Where., type: str}
    release: {description: As which release., type: str}
    started: {description: When it began (UTC)., type: str}
    seconds: {description: How long it took; none until it has ended., type: float}
    exit_status: {description: Its exit status; none until it has ended., type: int}
    outcome:
      description: "The same in words: V(exit status 0), V(at work), or V(broken off) where its host was lost."
      type: str
lines:
  description: The same for a person, a line for each run, and for each command that did not run yet.
  type: list
  elements: str
  returned: success
"""

import datetime
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import command_runs


def shown(found: command_runs.Run) -> dict[str, Any]:
    """A run as the result has it."""
    times = {
        name: value.astimezone(datetime.timezone.utc).isoformat(timespec="seconds")
        for name, value in (("due", found.due), ("started", found.started))
    }
    return {**asdict(found), **times, "outcome": found.outcome}


def work(module: AnsibleModule) -> dict[str, Any]:
    """Read the table, if there is one."""
    server, commands = Server.from_params(module.params), module.params["commands"]
    doing = f"Reading the runs of commands in database {server.database!r} as role {server.user!r}"
    try:
        with sql_errors(doing), autocommit(server) as cursor:
            found = command_runs.runs(cursor, commands, module.params["most"]) if command_runs.exists(cursor) else []
    except SlipwayError as error:
        if not module.params["optional"]:
            raise
        return {"changed": False, "runs": [], "lines": [f"scheduled commands: {error}"]}
    ran = {each.command for each in found}
    return {
        "changed": False,
        "runs": [shown(each) for each in found],
        "lines": [each.sentence for each in found]
        + [f"{command}: has not run yet" for command in commands if command not in ran],
    }


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        **CONNECTION_SPEC,
        "commands": {"type": "list", "elements": "str", "required": True},
        "most": {"type": "int", "default": 1},
        "optional": {"type": "bool", "default": False},
    }
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
