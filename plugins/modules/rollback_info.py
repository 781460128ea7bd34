#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``rollback_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback_info
author: The Slipway contributors
short_description: Which release a rollback would put back, and in which ways it can
version_added: 0.1.0
description:
  - Holds the releases that are kept on the hosts of the application against the ledger of deployments, the history of
    migrations and the backups. Writes nothing.
  - The ways are, the cheapest first, C(application), which puts the release alone back, C(undo), which first undoes by
    their C(down.sql) the migrations that were applied since it served, and C(backup), which first puts the newest
    backup of before those in the place of the database.
options:
  directory:
    description: State directory on the host, with the ledger.
    type: path
    required: true
  backup_directory:
    description: Directory of M(slipway.deploy.backup) on the host.
    type: path
    required: true
  application:
    description: Whose backups count.
    type: str
    required: true
  environment_name:
    description: Of which environment.
    type: str
    required: true
  releases:
    description: What M(slipway.deploy.release_info) has found on the hosts of the application.
    type: list
    elements: dict
    required: true
  to:
    description: The release to put back, by its name or its container's; by default the last that served before.
    type: str
    default: ""
  way:
    description: The only way to go; by default the cheapest that works.
    type: str
    choices: ["", application, undo, backup]
    default: ""
  taken:
    description: A backup of the database as it is, to count the rows that the way C(backup) would lose.
    type: str
    default: ""
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
seealso:
  - module: slipway.deploy.release_info
  - module: slipway.deploy.release_switch
"""

EXAMPLES = r"""
- name: See what a rollback would do
  slipway.deploy.rollback_info:
    directory: /var/lib/slipway/shop/prod
    backup_directory: /var/lib/slipway/shop/prod/backups
    application: shop
    environment_name: prod
    releases: "{{ found.releases }}"
    path: migrations
    login_unix_socket: /var/lib/slipway/shop/prod/run
    login_db: shop
    login_user: shop_owner
    login_password: "{{ owner_password }}"
"""

RETURN = r"""
rollback:
  description: What it would do.
  type: dict
  returned: success
  contains:
    release: {description: The release that it would put back., type: str}
    container: {description: Its container., type: str}
    serving: {description: The release that serves., type: str}
    since: {description: The migrations that were applied since then and still are., type: list, elements: str}
    backup: {description: The newest proved backup of before those; empty where there is none., type: str}
    ways: {description: The ways that can be gone; the first that works is to be taken., type: list, elements: str}
    barred: {description: Why each of the others can't., type: dict}
    rows:
      description:
        - Where O(taken) is given, the tables that have another number of rows than in RV(rollback.backup), each with
          its C(table), how many it had C(then) and has C(now).
      type: list
      elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import HistoryTable
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import rollback
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    ledger = Ledger(Path(params["directory"]))
    target = rollback.choose([rollback.Release(**each) for each in params["releases"]], params["to"])
    with sql_errors("Reading the history"), autocommit(Server.from_params(params)) as cursor:
        rows = HistoryTable(params["schema"]).read(cursor).rows or ()
    since = rollback.migrated_since(rows, rollback.deployed(target, ledger.releases()))
    manifests = [
        entry.manifest
        for entry in store.entries(Path(params["backup_directory"]), verify=False)
        if entry.manifest
        and not entry.problem
        and (entry.manifest.application, entry.manifest.environment)
        == (params["application"], params["environment_name"])
    ]
    bound = since[0].started_at if since else rollback.moment(target.ended)
    with_down = {name.rpartition("/")[0] for name in Payload.load(params["_payload"]).scripts if name.endswith("/down")}
    serving = ledger.serving().get("release", "")
    found = rollback.plan(target, serving, since, with_down, rollback.backup_before(manifests, bound), params["way"])
    counts = {manifest.name: manifest.tables for manifest in manifests}
    rows_lost = rollback.differing(counts.get(found.backup, {}), counts[params["taken"]]) if params["taken"] else []
    return {"changed": False, "rollback": {**found.result(), "rows": rows_lost}}


def main() -> None:
    options: dict[str, dict[str, Any]] = {
        "directory": {"type": "path", "required": True},
        "backup_directory": {"type": "path", "required": True},
        "application": {"type": "str", "required": True},
        "environment_name": {"type": "str", "required": True},
        "releases": {"type": "list", "elements": "dict", "required": True},
        "to": {"type": "str", "default": ""},
        "way": {"type": "str", "choices": ["", *rollback.WAYS], "default": ""},
        "taken": {"type": "str", "default": ""},
        "path": {"type": "path", "required": True},
        "schema": {"type": "str", "default": "public"},
        "_payload": {"type": "str", "no_log": True},
    }
    run(AnsibleModule(argument_spec={**CONNECTION_SPEC, **options}, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
