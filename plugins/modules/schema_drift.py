#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``schema_drift``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_drift
short_description: Tell what was changed in a database outside its migrations
version_added: 0.1.0
description:
  - Compares the database's catalogue with what its applied migrations make, replayed in a scratch database, or with a
    snapshot that was recorded.
  - "Knows schemas; tables with their columns, constraints, indexes and their validity, triggers, rules, policies and
    row security, partitions, inheritance and storage parameters; views and materialized views; sequences; functions,
    procedures and aggregates; types of every kind; collations, casts, operators with their classes and families,
    languages, transforms, conversions and access methods; extended statistics; text search; foreign data wrappers,
    servers, tables and user mappings; publications; event triggers; extensions; and the comments, security labels,
    owners of and rights on them, rights on extensions' members included."
  - "A snapshot also covers what is the environment's rather than the migrations': owner of and rights on the database,
    schemas and what is the system's, default rights, settings of the database and of roles in it, versions and owners
    of extensions, tablespaces, and materialized views without data."
  - "Neither covers rows and values of sequences, subscriptions, roles, the order of a table's columns, the names of
    C(NOT NULL) constraints, or the options of user mappings. The value of an option or a setting whose name is a
    secret's (password, token, and so on) is not read."
options:
  state:
    description: V(compared) tells the differences. V(recorded) keeps a snapshot in C(slipway.schema_snapshot).
    type: str
    default: compared
    choices: [compared, recorded]
  against:
    description:
      - What to compare with. V(replay) takes a role that may create a database; V(snapshot), one that was recorded.
      - V(auto) is V(replay) where that is possible, else V(snapshot); V(quick) is V(snapshot) where there is one of the
        migrations that are applied, else V(replay). In check mode nothing is replayed, because that writes.
    type: str
    default: auto
    choices: [auto, quick, replay, snapshot]
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
  - slipway.deploy.replay
  - slipway.deploy.interrupted
attributes:
  check_mode:
    support: full
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
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import REPLAY_SPEC, Comparison, record
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interrupted import INTERRUPTED_SPEC, ending


def work(module: AnsibleModule) -> dict[str, Any]:
    """Gather and report, or record."""
    given = module.params
    server = Server.from_params(given)
    if given["state"] == "recorded":
        return {"changed": record(server, given["schema"], module.check_mode)}
    files = Files(given["path"], given["schema"], Payload.load(given["_payload"]), Policy(DEFAULTS))
    against, found = Comparison.from_params(given, server, module.check_mode).differences(files, given["against"])
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
        "against": {"type": "str", "default": "auto", "choices": ["auto", "quick", "replay", "snapshot"]},
        "_payload": {"type": "str", "no_log": True},
    }
    spec = {**CONNECTION_SPEC, **REPLAY_SPEC, **INTERRUPTED_SPEC, **options}
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), ending(work))


if __name__ == "__main__":
    main()
