#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: connection_info
author: The Slipway contributors
short_description: Whether a database can be reached from a host, step by step
description:
  - Does what a client does to reach a database, step by step, up to the first that fails, and says what to do then.
  - The name is resolved, the port answers, it is PostgreSQL, TLS and the certificate are as O(ssl_mode) wants them, the
    role is let in, the database is there, the role may use it, the version is supported, and no pooler is in between.
  - A step that fails is a result and no failure of the module. Only reads.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.postgres
"""

EXAMPLES = r"""
- name: See whether the application reaches its database
  slipway.deploy.connection_info:
    login_host: db.example.com
    login_user: shop_app
    login_password: "{{ vault_database_application_password }}"
    login_db: shop
    ssl_mode: verify-full
    ca_cert: /etc/ssl/certs/db.pem
  register: found
"""

RETURN = r"""
steps:
  description: The steps in order.
  type: list
  elements: dict
  returned: success
  contains:
    step: {description: Name of the step., type: str}
    state: {description: "V(ok), V(failed), or V(not reached) behind one that failed.", type: str}
    seconds: {description: How long it took; none where it was not reached., type: float}
    spent: {description: The same as text., type: str}
    told: {description: What is known then, or what is wrong and what to do., type: str}
problem:
  description: What is wrong and what to do; empty where every step is V(ok).
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.diagnosis import FAILED, diagnose


def work(module: AnsibleModule) -> dict[str, Any]:
    steps = diagnose(Server.from_params(module.params))
    problem = next((step.told for step in steps if step.state == FAILED), "")
    return {"changed": False, "steps": [step.result() for step in steps], "problem": problem}


def main() -> None:
    run(AnsibleModule(argument_spec=CONNECTION_SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
