#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: logins
author: The Slipway contributors
short_description: Close the logins of an application's role but the one that serves
description:
  - Takes the password and the right to log in from each of O(logins) but O(login), once no session of it is left.
  - One with sessions stays as it is, and who they are is told. One that does not exist is as good as closed.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Tells which would be closed, whoever is logged in.
  diff_mode:
    support: none
    details: What there is to show is in the actions.
  idempotent:
    support: full
options:
  login:
    description: The login that goes on.
    type: str
    required: true
  logins:
    description: All logins of the role.
    type: list
    elements: str
    required: true
  patience:
    description: Seconds to wait for the last session of a login to end.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Close the login of the release before
  slipway.deploy.logins:
    login_unix_socket: /run/postgresql
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: postgres
    login: shop_app_b
    logins: [shop_app, shop_app_b]
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
others:
  description: The logins beside O(login) that could log in when the module was called.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._access.logins import (
    close,
    open_logins,
    wait_until_unused,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    server = Server.from_params(params)
    doing = f"Closing logins as role {server.user!r}"
    with sql_errors(doing), autocommit(server) as cursor:
        others = open_logins(cursor, [name for name in params["logins"] if name != params["login"]])
        statements = [close(name) for name in others]
        for name, statement in [] if module.check_mode else zip(others, statements):
            wait_until_unused(cursor, name, params["patience"])
            cursor.execute(statement.sql)
    return {"changed": bool(others), "actions": [statement.done for statement in statements], "others": others}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_SPEC,
            "login": {"type": "str", "required": True},
            "logins": {"type": "list", "elements": "str", "required": True},
            "patience": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
