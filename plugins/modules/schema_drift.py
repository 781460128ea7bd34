#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``schema_drift``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_drift
short_description: Tell what was changed in a database besides its migrations
version_added: 0.1.0
description:
  - Compares the database's catalogue with what its applied migrations make, replayed in a scratch database, or with a
    snapshot that was recorded.
  - Knows schemas, tables, columns, constraints, indexes and their validity, views, materialized views, sequences,
    functions, triggers, rules, policies and row security, types, extensions, statistics, event triggers, publications,
    comments, owners, rights and storage parameters. The snapshot also covers owners of and rights on schemas and
    default rights, which are the environment's rather than the migrations'.
options:
  state:
    description: V(compared) tells the differences. V(recorded) keeps a snapshot in C(slipway.schema_snapshot).
    type: str
    default: compared
    choices: [compared, recorded]
  against:
    description:
      - What to compare with. V(replay) takes a role that may create a database; V(snapshot), one that was recorded.
      - V(auto) is V(replay) where that is possible, else V(snapshot).
    type: str
    default: auto
    choices: [auto, replay, snapshot]
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
attributes:
  check_mode:
    support: full
    details: A comparison by replay makes and drops its scratch database in check mode, too.
  diff_mode:
    support: full
    details: Shows what differs.
  idempotent:
    support: full
seealso:
  - module: slipway.deploy.migrations_info
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Record the schema at the end of a deploy
  slipway.deploy.schema_drift:
    path: "{{ playbook_dir }}/migrations"
    state: recorded
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app

- name: Tell what was changed by hand since
  slipway.deploy.schema_drift:
    path: "{{ playbook_dir }}/migrations"
    against: snapshot
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app
"""

RETURN = r"""
against:
  description: What the database was compared with, V(replay) or V(snapshot).
  returned: when O(state=compared)
  type: str
problems:
  description: The differences, a sentence each.
  returned: when O(state=compared)
  type: list
  elements: str
  sample: ["comment table public.users is missing: People"]
drift:
  description: The differences.
  returned: when O(state=compared)
  type: list
  elements: dict
  contains:
    object:
      description: Kind and name.
      type: str
    expected:
      description: The definition that it should have, none when it should not be there.
      type: str
    found:
      description: The definition that it has, none when it is not there.
      type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._drift import differences, record
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration_policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration_run import Files
from ansible_collections.slipway.deploy.plugins.module_utils._module import run


def work(module: AnsibleModule) -> dict[str, Any]:
    """Gather and report, or record."""
    given = module.params
    server = Server.from_params(given)
    if given["state"] == "recorded":
        return {"changed": record(server, given["schema"], module.check_mode)}
    files = Files(given["path"], given["schema"], Payload.load(given["_payload"]), Policy(DEFAULTS))
    against, found = differences(server, files, given["against"])
    return {
        "changed": False,
        "against": against,
        "problems": [str(each) for each in found],
        "drift": [each.result() for each in found],
        "diff": {
            "before_header": f"as it should be ({against})",
            "after_header": "as it is",
            "before": "".join(f"{each.object}: {each.expected}\n" for each in found if each.expected is not None),
            "after": "".join(f"{each.object}: {each.found}\n" for each in found if each.found is not None),
        },
    }


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "schema": {"type": "str", "default": "public"},
        "state": {"type": "str", "default": "compared", "choices": ["compared", "recorded"]},
        "against": {"type": "str", "default": "auto", "choices": ["auto", "replay", "snapshot"]},
        "_payload": {"type": "str", "no_log": True},
    }
    run(AnsibleModule(argument_spec={**CONNECTION_SPEC, **options}, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
