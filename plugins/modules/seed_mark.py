#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: seed_mark
author: The Slipway contributors
short_description: Whether a database is to be seeded, and that it was
description:
  - A database is to be seeded when no table holds a row, or when it is new and its rows are those that its migrations
    wrote. M(slipway.deploy.database) marks a new one; the mark is a line of the database's comment.
  - With O(state=started) this module decides, and notes in the mark what the tables hold, so that a later run can tell
    whether a seed command that was cut off has written. With O(state=done) it takes the mark away.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.count
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Decides, and writes no mark.
  diff_mode:
    support: none
    details: Changes nothing but the mark.
  idempotent:
    support: full
    details: Never reports a change, since bookkeeping is none.
options:
  state:
    description: V(started) before the seed command, V(done) after it.
    type: str
    choices: [started, done]
    required: true
  fresh:
    description: Whether nothing but migrations can have written to a database that carries the mark.
    type: bool
    default: true
  before:
    description: The RV(seed.digest) that O(state=started) gave, from which RV(seed.wrote) follows.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: See whether the database is to be seeded
  slipway.deploy.seed_mark:
    state: started
    login_unix_socket: /run/postgresql
    login_user: autotest_owner
    login_password: "{{ postgres_owner_password }}"
    login_db: autotest
  register: found
"""

RETURN = r"""
seed:
  description: What was decided.
  type: dict
  returned: success
  contains:
    due: {description: Whether the database is to be seeded., type: bool}
    why: {description: Why or why not., type: str}
    digest: {description: A digest of the numbers of rows., type: str}
    wrote: {description: Whether the tables hold other numbers of rows than O(before) says., type: bool}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import comment
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    LOGIN_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal, quote
from ansible_collections.slipway.deploy.plugins.module_utils._schema import tables as schema
from ansible_collections.slipway.deploy.plugins.module_utils._seed import decision as seeding


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    server = Server.from_params(params)
    doing = f"Looking whether database {server.database!r} is to be seeded, as role {server.user!r},"
    with sql_errors(doing), autocommit(server) as cursor:
        tables = schema.all_tables(cursor, server, params["count_login"])
        digest = seeding.digest(tables)
        text = comment(cursor)
        oid = seeding.oid(cursor)
        mark = seeding.find_mark(text, oid)
        decision = seeding.decide(tables, mark if params["fresh"] else "")
        over = params["state"] == "done" or decision.over
        wanted = "" if over else digest if mark and decision.due else mark
        if wanted != mark and not module.check_mode:
            marked = seeding.set_mark(text, oid, wanted)
            cursor.execute(f"COMMENT ON DATABASE {quote(server.database)} IS {literal(marked)}")
        wrote = params["before"] not in ("", digest)
        return {
            "changed": False,
            "seed": {"due": decision.due, "why": decision.why, "digest": digest, "wrote": wrote},
        }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_SPEC,
            "state": {"type": "str", "choices": ["started", "done"], "required": True},
            "count_login": LOGIN_SPEC,
            "fresh": {"type": "bool", "default": True},
            "before": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
