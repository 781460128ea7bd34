#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``command_runs``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: command_runs
author: The Slipway contributors
short_description: The table in which hosts note the runs of scheduled commands
version_added: 0.1.0
description:
  - Makes the table C(slipway.command_runs), where it is missing, as the database's owner, and lets O(application) enter
    schema C(slipway) and write to that table. The other tables of the schema are closed to it.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Says what would be done.
  diff_mode:
    support: none
    details: C(actions) says what was done.
  idempotent:
    support: full
options:
  application:
    description: Role of the application, as which M(slipway.deploy.command_schedule) has runs noted.
    type: str
    required: true
seealso:
  - module: slipway.deploy.command_runs_info
"""

EXAMPLES = r"""
- name: Make the table of runs
  slipway.deploy.command_runs:
    login_unix_socket: /var/lib/slipway/shop/test/run
    login_user: shop_owner
    login_password: "{{ owner_password }}"
    login_db: shop
    application: shop_app
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import COMMAND_RUNS
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    connection,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import command_runs


def work(module: AnsibleModule) -> dict[str, Any]:
    """Make the table where it is missing."""
    server, application = Server.from_params(module.params), module.params["application"]
    doing = f"Making the table of runs in database {server.database!r} as role {server.user!r}"
    with sql_errors(doing), connection(server) as opened, opened, opened.cursor() as cursor:
        there = command_runs.exists(cursor)
        if not there and not module.check_mode:
            command_runs.prepare(cursor, application)
    actions = [] if there else [f"Made table {COMMAND_RUNS}, for {application} to write to."]
    return {"changed": bool(actions), "actions": actions}


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {**CONNECTION_SPEC, "application": {"type": "str", "required": True}}
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
