#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``migrations_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migrations_info
short_description: Tell how a database stands against its SQL migrations
version_added: 0.1.0
description:
  - Reads a directory of migrations on the controller and the history in C(_prisma_migrations), and tells what is
    applied, pending, edited, missing or failed.
  - Writes nothing to the database, and succeeds whatever the state is. Only a database that can't be reached or read
    is an error.
options:
  access:
    description: Also read the tables and the rights, as M(slipway.deploy.schema_info) does; see RV(schema).
    type: dict
    suboptions:
      owner:
        description: Role that owns the database.
        type: str
        required: true
      application:
        description: Role of the application.
        type: str
        required: true
      application_password:
        description: Password of the application's login, to see that it is let in. Without it that is not tried.
        type: str
      application_login:
        description: What the application logs in as, where that is not O(access.application) itself.
        type: str
        default: ""
      readonly:
        description: Role that only reads.
        type: str
        required: true
      count_login:
        description: C(login_user) and C(login_password) of another role, to count tables of which row-level security
          hides rows.
        type: dict
  drift:
    description:
      - Also tell what was changed outside the migrations, as M(slipway.deploy.schema_drift) does with the same word
        for its option O(ignore:against). What is found is among RV(remarks) or, where O(policy.drift=deny), among
        RV(problems). That it can't be told is a remark, too.
    type: str
    default: none
    choices: [none, auto, quick, replay, snapshot]
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
  - slipway.deploy.migration_policy
  - slipway.deploy.replay
  - slipway.deploy.interrupted
seealso:
  - module: slipway.deploy.migrations
requirements:
  - squawk-cli on the controller, unless O(policy.lint=allow)
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Read how the database stands
  slipway.deploy.migrations_info:
    path: "{{ playbook_dir }}/migrations"
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app
  register: state

- name: Stop unless it is up to date
  ansible.builtin.assert:
    that: state.accepted
    fail_msg: "{{ state.problems | join('\n') }}"
"""

RETURN = r"""
migrations:
  description: As returned by M(slipway.deploy.migrations); RV(ignore:applied_now) is empty.
  returned: success
  type: dict
history:
  description: The rows of the history in the order of their start.
  returned: success
  type: list
  elements: dict
  contains:
    migration: {description: Name of the migration., type: str}
    state: {description: "V(applied), V(failed) or V(rolled back).", type: str}
    started: {description: When it was started (UTC)., type: str}
    finished: {description: When it was applied (UTC)., type: str}
    rolled_back: {description: When it was marked as rolled back (UTC)., type: str}
    steps: {description: Steps that were applied., type: int}
digest:
  description: The SHA-256 of the files, for the option O(slipway.deploy.migrations#module:digest).
  returned: success
  type: str
accepted:
  description: Whether nothing is pending and, by O(policy) and O(waivers), nothing is a problem of the history.
  returned: success
  type: bool
status:
  description: The same as C(migrations.status).
  returned: success
  type: str
remarks:
  description: What O(policy) says to warn of, which pending ones are half-applied, and the drift, a sentence each.
  returned: success
  type: list
  elements: str
drift:
  description: The differences, as M(slipway.deploy.schema_drift) returns them.
  returned: success
  type: list
  elements: dict
drift_against:
  description: What the database was compared with, V(replay) or V(snapshot); empty when it was not.
  returned: success
  type: str
schema:
  description: The tables and the rights, as M(slipway.deploy.schema_info) returns them.
  returned: where O(access) is given
  type: dict
problems:
  description: What keeps pending migrations from being applied, a sentence each. Pending ones are no problem.
  returned: success
  type: list
  elements: str
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import (
    REPLAY_SPEC,
    Comparison,
    Difference,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import POLICY_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._migration.preview import survey
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    LoginRefusedError,
    Server,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interrupted import INTERRUPTED_SPEC, ending
from ansible_collections.slipway.deploy.plugins.module_utils._schema.inspection import INSPECTION_SPEC, inspect


def work(module: AnsibleModule) -> dict[str, Any]:
    """Gather and report."""
    server, files = Server.from_params(module.params), Files.from_params(module.params)
    comparison = Comparison.from_params(module.params, server, module.check_mode)
    instead = []
    try:
        plan, verdict = survey(server, files)
    except LoginRefusedError:
        if comparison.creator == server:
            raise
        instead = [
            f"Role {server.user} can't log in to database {server.database} yet, so it was read as role "
            f"{comparison.creator.user}: a deploy makes the role and sets its password."
        ]
        comparison = replace(comparison, server=comparison.creator, may_write=False)
        plan, verdict = survey(comparison.server, files)
    problems, remarks = verdict.problems, [*(each.text for each in verdict.warned), *instead, *plan.notes]
    accepted = not plan.pending and not problems
    against, drift = "", list[Difference]()
    if module.params["drift"] != "none" and files.policy.rules["drift"] != "allow":
        try:
            against, drift = comparison.differences(files, module.params["drift"])
        except SlipwayError as unknown:
            remarks.append(f"Whether anything was changed outside the migrations is not known: {unknown}")
    denied = files.policy.rules["drift"] == "deny"
    (problems if denied else remarks).extend(str(each) for each in drift)
    problems += [files.policy.advice("drift")] if denied and drift else []
    return {
        "changed": False,
        "status": plan.status,
        "accepted": accepted,
        "problems": problems,
        "remarks": remarks,
        "migrations": plan.result(),
        "history": [row.result() for row in plan.history],
        "digest": files.payload.digest,
        "drift": [each.result() for each in drift],
        "drift_against": against,
        **({"schema": inspect(comparison.server, access)} if (access := module.params["access"]) else {}),
    }


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "schema": {"type": "str", "default": "public"},
        "access": {"type": "dict", "options": INSPECTION_SPEC},
        "drift": {"type": "str", "default": "none", "choices": ["none", "auto", "quick", "replay", "snapshot"]},
        "_payload": {"type": "str", "no_log": True},
    }
    spec = {**CONNECTION_SPEC, **POLICY_SPEC, **REPLAY_SPEC, **INTERRUPTED_SPEC, **options}
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), ending(work))


if __name__ == "__main__":
    main()
