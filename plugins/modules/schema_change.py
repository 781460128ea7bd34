#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``schema_change``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_change
short_description: Derive the SQL that leads to the schema that is wanted
version_added: 0.1.0
description:
  - Compares what the migrations make, or what the database is, with the schema that a source describes (SQL, a Prisma
    schema, SQLAlchemy models), and derives the statements that lead from the one to the other, and back.
  - "Proves them in two scratch databases: they are applied, what they make is compared with what is wanted, they are
    taken back and applied again. What can't be derived is told, and what the source can't speak of is left as it is."
  - The database itself is only read, also in check mode; the scratch databases are dropped again.
options:
  source:
    description:
      - "Where the wanted schema is: a file C(sql), a C(prisma) schema, or C(sqlalchemy) models as C(module:attribute),
        of which the attribute is a declarative base or a C(MetaData)."
      - "Where nothing is named: C(prisma/schema.prisma) in O(directory), else C(schema.prisma), else C(schema.sql)."
    type: dict
    default: {}
    suboptions:
      sql:
        description: A file of SQL that makes the schema in an empty database.
        type: str
      prisma:
        description: A file in Prisma's language, which the project's own C(prisma migrate diff) turns into SQL.
        type: str
      sqlalchemy:
        description: The models.
        type: str
      python:
        description: The Python that has SQLAlchemy and the models' other dependencies; by default Ansible's own.
        type: str
      path:
        description: Where in O(directory) the models are imported from.
        type: str
        default: .
  directory:
    description: The project's directory on the controller.
    type: path
    required: true
  environment:
    description: Environment variables for Prisma or the import of models, such as C(DATABASE_URL).
    type: dict
    default: {}
  base:
    description:
      - V(migrations) starts from what the migrations make, and insists first that the database is what the applied ones
        make (or what is wanted already), and that none of them was edited.
      - V(database) starts from the database as it is.
    type: str
    default: migrations
    choices: [migrations, database]
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.migration_files
  - slipway.deploy.replay
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: It changes nothing.
  idempotent:
    support: full
seealso:
  - module: slipway.deploy.new_migration
  - module: slipway.deploy.schema_push
author: The Slipway contributors (@slipway)
"""

EXAMPLES = r"""
- name: Derive the next migration
  slipway.deploy.schema_change:
    path: "{{ playbook_dir }}/migrations"
    directory: "{{ playbook_dir }}"
    source: {sqlalchemy: "shop.models:Base", path: src}
    login_unix_socket: /var/run/postgresql
    login_user: app_owner
    login_password: "{{ app_owner_password }}"
    login_db: app
"""

RETURN = r"""
statements:
  description: The statements, in order; none where nothing differs.
  returned: success
  type: list
  elements: str
down:
  description: The statements that take them back; none where that leaves a difference.
  returned: success
  type: list
  elements: str
no_down:
  description: Why they can't be taken back; empty where they can.
  returned: success
  type: str
left:
  description: What differs and can't be derived, a sentence each.
  returned: success
  type: list
  elements: str
remarks:
  description: What can't be known, or fails where rows do not fit, a sentence each.
  returned: success
  type: list
  elements: str
losses:
  description: What would lose data of this database, a phrase each.
  returned: success
  type: list
  elements: str
there:
  description: Whether the database is so already, though its migrations don't make it so.
  returned: success
  type: bool
source:
  description: Where the wanted schema was read.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import REPLAY_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.change import WANTED_NAME, changes
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.sources import Source


def work(module: AnsibleModule) -> dict[str, Any]:
    """Gather and report."""
    given = module.params
    if not given["_wanted"]:
        raise SlipwayError(
            "The wanted schema was not read: run the module as a task, so that its action plugin does it."
        )
    server = Server.from_params(given)
    files = Files(given["path"], given["schema"], Payload.load(given["_payload"]), Policy(DEFAULTS))
    wanted = Payload.load(given["_wanted"]).scripts[WANTED_NAME]
    source = Source(given["_speaks"][0], frozenset(given["_speaks"][1:]))
    found = changes(server, server.by(given["replay_login"]), files, wanted, source, given["base"] == "migrations")
    return {"changed": False, "source": wanted.path, **found}


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        "schema": {"type": "str", "default": "public"},
        "directory": {"type": "path", "required": True},
        "source": {
            "type": "dict",
            "default": {},
            "options": {
                "sql": {"type": "str"},
                "prisma": {"type": "str"},
                "sqlalchemy": {"type": "str"},
                "python": {"type": "str"},
                "path": {"type": "str", "default": "."},
            },
        },
        "environment": {"type": "dict", "default": {}, "no_log": True},
        "base": {"type": "str", "default": "migrations", "choices": ["migrations", "database"]},
        "_payload": {"type": "str", "no_log": True},
        "_wanted": {"type": "str", "no_log": True},
        "_speaks": {"type": "list", "elements": "str", "default": ["sql"]},
    }
    run(AnsibleModule(argument_spec={**CONNECTION_SPEC, **REPLAY_SPEC, **options}, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
