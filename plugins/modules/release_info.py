#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``release_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_info
author: The Slipway contributors
short_description: Which releases of an application are on a host, in containers that serve or that were kept
version_added: 0.1.0
description:
  - Asks the engine for the containers of an application's releases. Writes nothing.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
options:
  label:
    description: The label, with its value, of the application's containers.
    type: str
    required: true
  config:
    description: The configuration file of nginx on the host that O(slipway.deploy.release_switch#module:path) names.
    type: path
    required: true
requirements:
  - the command C(docker) on the host
"""

EXAMPLES = r"""
- name: See which releases are there
  slipway.deploy.release_info:
    label: slipway.backend=shop-prod-backend
    config: /var/lib/slipway/shop/prod/frontend/config/nginx.conf
"""

RETURN = r"""
releases:
  description: The releases, the newest container first.
  type: list
  elements: dict
  returned: success
  contains:
    container: {description: Name of the container., type: str}
    release: {description: Which release it is., type: str}
    serves: {description: Whether nginx leads requests to it., type: bool}
    created: {description: Since when the container exists (UTC)., type: str}
    ended: {description: When it was stopped last (UTC)., type: str}
    led_to: {description: Whether the configuration that led requests to it was kept., type: bool}
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.former import Former
from ansible_collections.slipway.deploy.plugins.module_utils._release.rollback import Release


def work(module: AnsibleModule) -> dict[str, Any]:
    names = docker.must("ps", "--all", f"--filter=label={module.params['label']}", "--format={{.Names}}").split()
    listed = docker.must("container", "inspect", "--format={{json .}}", *names) if names else ""
    config = module.params["config"]
    serving, led_to = read(config), Former(config).names()
    return {
        "changed": False,
        "releases": [asdict(Release.parse(line, serving, led_to)) for line in listed.splitlines() if line],
    }


def main() -> None:
    options = {"label": {"type": "str", "required": True}, "config": {"type": "path", "required": True}}
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
