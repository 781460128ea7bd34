#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: health_info
author: The Slipway contributors
short_description: What is wrong, or soon will be, with a database and its host
description:
  - Makes every check of docs/health.md on the database, its server, the disks of its host, its backups
    and the site's certificate. Writes
    nothing, waits for no lock, and reads no table of the application.
  - What can't be measured, as on a managed server that hides it, is told as V(unknown) and is no finding. A database
    that can't be reached is a finding.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.access_roles
  - slipway.deploy.postgres
  - slipway.deploy.interrupted
options:
  admin_login:
    description: Another role, which sees all sessions and settings of the server. Without, O(login_user) looks.
    type: dict
    suboptions:
      login_user:
        description: Its name.
        type: str
        required: true
      login_password:
        description: Its password.
        type: str
        default: ""
  application_name:
    description: Name of the application, as its backups have it.
    type: str
    required: true
  environment_name:
    description: Name of the environment, as its backups have it.
    type: str
    required: true
  directory:
    description: Slipway's state directory of the environment on the host.
    type: path
    required: true
  backup_directory:
    description: Directory of the backups on the host.
    type: path
    required: true
  container:
    description: Container of the server, where it runs in one, to see its disk.
    type: str
  certificate:
    description: File on the host with the site's certificate, where it has one here.
    type: path
    default: ""
  certificates:
    description:
      - Until when the site's certificates on other hosts are valid, by host, in seconds since 1970; a text where that
        is not known, which says why.
    type: dict
    default: {}
    version_added: 0.1.0
  database_certificate:
    description: File on the host with the certificate by which other hosts know the database, where they do.
    type: path
    default: ""
  thresholds:
    description:
      - By the name of a check, from which value on it is C(warning) and C(critical), and the check's further numbers.
        V(null) is never reached.
    type: dict
    default: {}
seealso:
  - module: slipway.deploy.schema_info
"""

EXAMPLES = r"""
- name: Examine the database
  slipway.deploy.health_info:
    login_unix_socket: /var/lib/slipway/shop/prod/run
    login_user: shop_owner
    login_password: "{{ vault_database_owner_password }}"
    login_db: shop
    owner: shop_owner
    application: shop_app
    readonly: shop_readonly
    application_name: shop
    environment_name: prod
    directory: /var/lib/slipway/shop/prod
    backup_directory: /var/lib/slipway/shop/prod/backups
    thresholds: {backup_age: {warning: 86400}, unused_indexes: {warning: null}}
"""

RETURN = r"""
findings:
  description: What each check found, the worst first.
  type: list
  elements: dict
  returned: success
  contains:
    check: {description: Name of the check., type: str}
    title: {description: What it measures., type: str}
    state: {description: "V(ok), V(unknown), V(warning) or V(critical).", type: str}
    value: {description: The value that decides; none where nothing was measured., type: float}
    unit: {description: "The value's unit: V(seconds), V(bytes), V(ratio), or empty for a number.", type: str}
    shown: {description: The value as a person reads it., type: str}
    warning: {description: From which value on it is a warning., type: float}
    critical: {description: From which value on it is critical., type: float}
    objects: {description: "What was measured, the worst first: C(object) and C(value).", type: list, elements: dict}
    sentence: {description: What is wrong and what to do; empty where nothing is., type: str}
state:
  description: The worst state of all.
  type: str
  returned: success
prometheus:
  description: The findings in Prometheus' text format.
  type: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._health.examine import examine
from ansible_collections.slipway.deploy.plugins.module_utils._health.exposition import text
from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import STATES, adjusted, worst
from ansible_collections.slipway.deploy.plugins.module_utils._health.rules import RULES
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    LOGIN_SPEC,
    Server,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interrupted import INTERRUPTED_SPEC, ending
from ansible_collections.slipway.deploy.plugins.module_utils._schema.inspection import ROLES_SPEC


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    findings = examine(Server.from_params(params), params, adjusted(RULES, params["thresholds"]))
    labels = {"application": params["application_name"], "environment": params["environment_name"]}
    return {
        "changed": False,
        "findings": [each.result() for each in sorted(findings, key=lambda each: -STATES.index(each.state))],
        "state": worst(findings),
        "prometheus": text(findings, labels),
    }


def main() -> None:
    required = {"type": "str", "required": True}
    path = {"type": "path", "required": True}
    module = AnsibleModule(
        argument_spec={
            **CONNECTION_SPEC,
            **INTERRUPTED_SPEC,
            "admin_login": LOGIN_SPEC,
            **ROLES_SPEC,
            "application_name": required,
            "environment_name": required,
            "directory": path,
            "backup_directory": path,
            "container": {"type": "str"},
            "certificate": {"type": "path", "default": ""},
            "certificates": {"type": "dict", "default": {}},
            "database_certificate": {"type": "path", "default": ""},
            "thresholds": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    run(module, ending(work))


if __name__ == "__main__":
    main()
