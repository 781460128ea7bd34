#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``deployment_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment_info
author: The Slipway contributors
short_description: What was deployed last, who works on it now, and whether it answers
version_added: 0.1.0
description:
  - Reads the ledger of deployments and the deploy lock, and asks the application whether it is ready. Writes nothing.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
  - slipway.deploy.interrupted
options:
  directory:
    description: State directory on the host.
    type: path
    required: true
  url:
    description: Where the application says that it is ready, as seen from the host. Empty to leave that out.
    type: str
    default: ""
  connect_to:
    description:
      - The C(ADDRESS:PORT) at which the host of an https O(url) is asked, whatever its name leads to and its
        certificate says.
    type: str
    default: ""
  records:
    description: How many of the newest records to return.
    type: int
    default: 0
  number:
    description: The number of the only record to return.
    type: int
"""

EXAMPLES = r"""
- name: See what serves
  slipway.deploy.deployment_info:
    directory: /var/lib/slipway/autotest/test
    url: http://127.0.0.1:8081/readyz
"""

RETURN = r"""
deployment:
  description: What is known.
  type: dict
  returned: success
  contains:
    release: {description: The release of the last deploy that succeeded; empty before the first., type: str}
    deployed: {description: When that was., type: str}
    last: {description: The newest record of the ledger., type: dict}
    holder: {description: Who holds the lock now; empty for nobody., type: str}
    health: {description: V(ready), what is wrong, or empty where that was not asked., type: str}
records:
  description:
    - The records that O(records) or O(number) asks for, oldest first, as they are in the ledger. Each has its C(number)
      besides, that of its line.
  type: list
  elements: dict
  returned: success
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import trouble
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interrupted import INTERRUPTED_SPEC, ending
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger


def work(module: AnsibleModule) -> dict[str, Any]:
    """Read the two files, then ask the application."""
    ledger, url, number = Ledger(Path(module.params["directory"])), module.params["url"], module.params["number"]
    deployed = ledger.serving()
    holder = ledger.holder()
    return {
        "changed": False,
        "deployment": {
            "release": deployed.get("release", ""),
            "deployed": deployed.get("finished", ""),
            "last": ledger.newest() or {},
            "holder": holder.describe() if holder else "",
            "health": (trouble(url, module.params["connect_to"]) or "ready") if url else "",
        },
        "records": ledger.numbered(module.params["records"]) if number is None else [ledger.one(number)],
    }


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        **INTERRUPTED_SPEC,
        "directory": {"type": "path", "required": True},
        "url": {"type": "str", "default": ""},
        "connect_to": {"type": "str", "default": ""},
        "records": {"type": "int", "default": 0},
        "number": {"type": "int"},
    }
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), ending(work))


if __name__ == "__main__":
    main()
