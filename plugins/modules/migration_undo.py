#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``migration_undo``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_undo
short_description: Undo applied SQL migrations
version_added: 0.1.0
description:
  - Runs the C(down.sql) that lies beside C(migration.sql), the last applied first, each in one transaction with its row
    in the history, which is marked as rolled back. The migration is pending then, to Prisma as well.
  - Stops before it writes anything when one of them has no C(down.sql) or was edited.
options:
  names:
    description: The migrations to undo, in whatever order. Those that are not applied are left alone.
    type: list
    elements: str
  last:
    description: How many to undo, from the one that was applied last on. Not idempotent, by its nature.
    type: int
  lock_wait:
    description: Seconds to wait for another run to end.
    type: float
    default: 60
  lock_timeout:
    description: How long a statement may wait for a lock on a table, as PostgreSQL's C(lock_timeout).
    type: str
    default: 2s
  snapshot:
    description: Also keep the schema that is there then in C(slipway.schema_snapshot), as M(slipway.deploy.migrations)
      does.
    type: bool
    default: false
  row_values:
    description: Whether messages may quote values of rows, which the server tells with some errors. Without it they are
      only in the history's column C(logs), when a migration failed.
    type: bool
    default: false
  rehearsal:
    description: The database is a copy of another one. What changes more than its database is rehearsed, or not, as by
      M(slipway.deploy.migrations).
    type: bool
    default: false
  digest:
    description: Which files are meant, as RV(digest) of an earlier call. Stops when they were changed since.
    type: str
  require_backup:
    description:
      - Whether to stop, before anything is written, unless O(backup_directory) holds a backup of this very database, of
        the history as it is, proved by a restore, with its dump unaltered and, within a run of Slipway's playbooks,
        taken since that began. The manifests are read, and held against the database, by the module itself.
      - A database without a history, tables, sequences and large objects has nothing to lose and needs none.
    type: bool
    default: false
  backup_directory:
    description: Directory of M(slipway.deploy.backup) on the host. Needed with O(require_backup).
    type: path
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
  - slipway.deploy.watch
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(names), not with O(last).
seealso:
  - module: slipway.deploy.migrations
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Undo the last migration
  slipway.deploy.migration_undo:
    path: "{{ playbook_dir }}/migrations"
    last: 1
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
  sample: ["Undid 20250730170846_add_releases in 0.012 s."]
undone:
  description: Names of the migrations that were undone or, in check mode, would be, the last applied first.
  returned: success
  type: list
  elements: str
digest:
  description: Which files were read; the option O(digest) of a later call.
  returned: success
  type: str
migrations:
  description: The state after it, as M(slipway.deploy.migrations) returns it.
  returned: success
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import WATCH_SPEC, watcher_from_params
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload, Script
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import (
    PROOF_SPEC,
    context_from_params,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.undo import undo
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server


def work(module: AnsibleModule) -> dict[str, Any]:
    """Gather, plan, apply, report."""
    given = module.params
    files = Files(given["path"], given["schema"], Payload.load(given["_payload"]), Policy(DEFAULTS))
    files.insist_on(given["digest"])
    server = Server.from_params(given)
    undone, outcome = undo(
        server,
        files,
        given["names"] or [],
        given["last"] or 0,
        given["lock_wait"],
        module.check_mode,
        context_from_params(given),
        given["rehearsal"],
        given["row_values"],
        watcher_from_params(server, given),
        lock_timeout=given["lock_timeout"],
    )
    for warning in outcome.warnings:
        module.warn(warning)
    return {
        "changed": bool(undone),
        "actions": outcome.actions,
        "undone": undone,
        "digest": files.payload.digest,
        "migrations": outcome.migrations,
        **({"diff": [shown(files.payload.scripts[f"{name}/down"]) for name in undone]} if module._diff else {}),
    }


def shown(script: Script) -> dict[str, str]:
    """The SQL of one undoing, as the difference that a module returns."""
    return {"before_header": "not undone", "after_header": script.path, "before": "", "after": script.text}


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "schema": {"type": "str", "default": "public"},
        "names": {"type": "list", "elements": "str"},
        "last": {"type": "int"},
        "lock_wait": {"type": "float", "default": 60},
        "lock_timeout": {"type": "str", "default": "2s"},
        "digest": {"type": "str"},
        "snapshot": {"type": "bool", "default": False},
        "row_values": {"type": "bool", "default": False},
        "rehearsal": {"type": "bool", "default": False},
        "_payload": {"type": "str", "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={**CONNECTION_SPEC, **PROOF_SPEC, **WATCH_SPEC, **options},
        mutually_exclusive=[("names", "last")],
        required_one_of=[("names", "last")],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
