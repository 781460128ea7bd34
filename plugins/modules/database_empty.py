#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``database_empty``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: database_empty
author: The Slipway contributors
short_description: Empty a database of what its application made
version_added: 0.1.0
description:
  - Drops in one transaction what O(owner) owns, which is what the migrations made, and all large objects. So the
    history of migrations goes as well, and extensions that a migration created.
  - Kept are the schema C(public) with its owner, grants and comment, all default privileges, the database's settings
    and its marks, extensions of the administrator, and the schema C(slipway) but for the snapshot of what is gone.
  - Stops before anything is dropped where something of another role is in the application's schemas, or an event
    trigger, a publication or a subscription of another's is in the database, since no migration would make it again.
  - Takes the locks that keep migration runs apart, Prisma's too, and waits for those on the tables a short while at a
    time, so that the application is never held up for longer.
  - Stops without a backup of this very run that was proved by a restore, unless there is nothing to lose, or the
    database is a copy that C(slipway.deploy.backup) made.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Returns what would go, counted.
  diff_mode:
    support: none
    details: RV(emptied) says what goes.
  idempotent:
    support: full
    details: Of an empty database nothing goes.
options:
  owner:
    description: Role that owns the database and what the migrations make.
    type: str
    required: true
  schema:
    description: Schema of the history of migrations.
    type: str
    default: public
  seedable:
    description: Whether to mark the database as a new one for M(slipway.deploy.seed_mark).
    type: bool
    default: false
  backup_directory:
    description: Where the backup of this run is. Required, but for a copy and an empty database.
    type: path
  lock_wait:
    description: Seconds to wait for another run of migrations.
    type: float
    default: 60
  lock_timeout:
    description: How long one attempt waits for locks on tables, with PostgreSQL's unit.
    type: str
    default: 2s
  lock_retry:
    description: Seconds to go on trying for locks on tables.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: Empty the database
  slipway.deploy.database_empty:
    login_unix_socket: /run/postgresql
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
    owner: autotest_owner
    backup_directory: /var/lib/slipway/autotest/test/backups
"""

RETURN = r"""
actions:
  description: What was done, or would be in check mode, one sentence each.
  type: list
  elements: str
  returned: success
  sample: ["Dropped 10 tables, 1 type with 1,123 rows."]
emptied:
  description: What went, or would.
  type: dict
  returned: success
  contains:
    tables:
      description: The tables with C(schema), C(name), C(rows), whether that is C(exact), and why it is C(hidden).
      type: list
      elements: dict
    rows: {description: Rows of all tables, type: int}
    counts: {description: All that goes in numbers., type: str}
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import comment
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.reset import look, reset
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal, quote
from ansible_collections.slipway.deploy.plugins.module_utils._seed import decision
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def work(module: AnsibleModule) -> dict[str, Any]:
    """Look, and empty."""
    params = module.params
    server, owner = Server.from_params(params), params["owner"]

    def finish(cursor: Cursor) -> None:
        text, oid = comment(cursor), decision.oid(cursor)
        marked = decision.set_mark(text, oid, decision.NEW if params["seedable"] else "")
        if marked != text:
            cursor.execute(f"COMMENT ON DATABASE {quote(server.database)} IS {literal(marked)}")

    with sql_errors(f"Looking what is in database {server.database!r}"), autocommit(server) as cursor:
        found = look(cursor, server.database, owner)
    if not module.check_mode:
        patience = Patience(params["lock_wait"], params["lock_retry"])
        reset(server, params["schema"], owner, params["backup_directory"], finish, patience, params["lock_timeout"])
    said = "Would drop" if module.check_mode else "Dropped"
    with_rows = f" with {counted(found.rows, 'row')}" if found.tables else ""
    return {
        "changed": bool(found.counts),
        "actions": [f"{said} {found.counts}{with_rows}."] if found.counts else [],
        "emptied": {"tables": [asdict(table) for table in found.tables], "rows": found.rows, "counts": found.counts},
    }


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "owner": {"type": "str", "required": True},
        "schema": {"type": "str", "default": "public"},
        "seedable": {"type": "bool", "default": False},
        "backup_directory": {"type": "path"},
        "lock_wait": {"type": "float", "default": 60},
        "lock_timeout": {"type": "str", "default": "2s"},
        "lock_retry": {"type": "float", "default": 60},
    }
    run(AnsibleModule(argument_spec={**CONNECTION_SPEC, **options}, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
