#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``schema_push``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_push
short_description: Put derived statements into a database without a migration
version_added: 0.1.0
description:
  - Sends statements as M(slipway.deploy.schema_change) returns them, in one transaction, while no migrations run.
  - Looks at the rows before and after them. What was lost and not accepted is rolled back.
  - The history of migrations stays as it is, so that the database then differs from what they make.
options:
  statements:
    description: The statements.
    type: list
    elements: str
    required: true
  accept_data_loss:
    description: Whether rows, or values of rows, may be lost.
    type: bool
    default: false
  schema:
    description: Schema of the history of migrations.
    type: str
    default: public
  lock_wait:
    description: Seconds to wait for another run of migrations, and for a table.
    type: float
    default: 60
  lock_timeout:
    description: How long a statement waits for a table before all of them are tried again, with its unit.
    type: str
    default: 2s
  require_backup:
    description: Whether O(backup_directory) must hold a backup of the database that this run has taken and proved.
    type: bool
    default: false
  backup_directory:
    description: Directory on the host that holds the backups.
    type: path
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.watch
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The statements are its input.
  idempotent:
    support: partial
    details: Without statements it changes nothing.
seealso:
  - module: slipway.deploy.schema_change
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Make the database what the models say
  slipway.deploy.schema_push:
    statements: "{{ change.statements }}"
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app
"""

RETURN = r"""
actions:
  description: What was done.
  returned: changed
  type: list
  elements: str
lost:
  description: What was lost, a phrase each.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import WATCH_SPEC, watcher_from_params
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import (
    PROOF_SPEC,
    context_from_params,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.push import push


def work(module: AnsibleModule) -> dict[str, Any]:
    """Send and report."""
    given = module.params
    server = Server.from_params(given)
    if not given["statements"]:
        return {"changed": False, "actions": [], "lost": []}
    number = counted(len(given["statements"]), "statement")
    if module.check_mode:
        return {"changed": True, "actions": [f"Would send {number} to database {server.database}."], "lost": []}
    lost = push(
        server,
        given["schema"],
        given["statements"],
        given["accept_data_loss"],
        context_from_params({**given, "snapshot": False}),
        given["lock_wait"],
        watcher_from_params(server, given),
        lock_timeout=given["lock_timeout"],
    )
    done = f"Sent {number} to database {server.database}"
    return {"changed": True, "actions": [f"{done}, which {'; '.join(lost)}." if lost else f"{done}."], "lost": lost}


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "statements": {"type": "list", "elements": "str", "required": True},
        "accept_data_loss": {"type": "bool", "default": False},
        "schema": {"type": "str", "default": "public"},
        "lock_wait": {"type": "float", "default": 60},
        "lock_timeout": {"type": "str", "default": "2s"},
    }
    spec = {**CONNECTION_SPEC, **PROOF_SPEC, **WATCH_SPEC, **options}
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
