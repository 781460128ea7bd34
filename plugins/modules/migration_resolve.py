#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``migration_resolve``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_resolve
short_description: Correct the history of SQL migrations by hand
version_added: 0.1.0
description:
  - Does what C(prisma migrate resolve) does, row for row, and records the checksum of an edited file anew.
  - Changes the history alone, never the migrations' own objects.
options:
  names:
    description: The migrations, all of which are changed or none.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(applied) says that the database has the changes already. On a database with tables but without a history, this
        makes it one that these migrations have made (a baseline).
      - V(rolled_back) says that a failed migration was undone by hand, so that it is tried again.
      - V(repaired) accepts an edited file as what was applied. It takes O(reason) and O(author).
    type: str
    required: true
    choices: [applied, rolled_back, repaired]
  reason:
    description: Why; kept in C(slipway.migration_decisions) when given.
    type: str
  author:
    description: Who says so.
    type: str
  lock_wait:
    description: Seconds to wait for another run to end.
    type: float
    default: 60
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
  - slipway.deploy.watch
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: RV(actions) says all of it.
  idempotent:
    support: full
seealso:
  - module: slipway.deploy.migrations
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Take over a database that has the tables of the first migration
  slipway.deploy.migration_resolve:
    path: "{{ playbook_dir }}/migrations"
    names: [20250728210351_init]
    state: applied
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app

- name: Accept an edited comment
  slipway.deploy.migration_resolve:
    path: "{{ playbook_dir }}/migrations"
    names: [20250728210351_init]
    state: repaired
    reason: A comment was corrected after it was applied
    author: ada@example.org
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app
"""

RETURN = r"""
actions:
  description: What was done or, in check mode, would be, in sentences.
  returned: success
  type: list
  elements: str
  sample: ["Marked 20250728210351_init as applied."]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._migration.decisions import Decision
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import WATCH_SPEC, watcher_from_params
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration.resolve import resolve
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server


def work(module: AnsibleModule) -> dict[str, Any]:
    """Gather, plan, apply, report."""
    given = module.params
    server = Server.from_params(given)
    actions = resolve(
        server,
        given["schema"],
        Payload.load(given["_payload"]),
        given["names"],
        given["state"],
        Decision(given["state"], given["reason"] or "", given["author"] or ""),
        given["lock_wait"],
        module.check_mode,
        watcher_from_params(server, given),
    )
    return {"changed": bool(actions), "actions": actions}


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "schema": {"type": "str", "default": "public"},
        "names": {"type": "list", "elements": "str", "required": True},
        "state": {"type": "str", "required": True, "choices": ["applied", "rolled_back", "repaired"]},
        "reason": {"type": "str"},
        "author": {"type": "str"},
        "lock_wait": {"type": "float", "default": 60},
        "_payload": {"type": "str", "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={**CONNECTION_SPEC, **WATCH_SPEC, **options},
        required_together=[("reason", "author")],
        required_if=[("state", "repaired", ("reason", "author"))],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
