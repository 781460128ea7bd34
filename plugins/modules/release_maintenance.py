#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_maintenance
author: The Slipway contributors
short_description: Have nginx say that the application is not available while the release that serves does not work
description:
  - Makes or removes the file that the configuration of role frontend looks for at each request. Nothing is reloaded.
  - It is about one release. Another one's configuration looks for a file of its own, so that the switch to it ends this
    at once; M(slipway.deploy.release_switch) then removes the file.
extends_documentation_fragment:
  - slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  directory:
    description: Directory of nginx's configuration on the host.
    type: path
    required: true
  release:
    description: Name of the release that serves. By default the one that nginx's configuration there leads to.
    type: str
    default: ""
  state:
    description: Whether nginx says so.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Show a page while the database is another release's
  slipway.deploy.release_maintenance:
    directory: /var/lib/slipway/shop/prod/frontend/config
    release: "{{ deployment_current }}"
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

import re
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, advice
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.switch import MAINTENANCE
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

DONE = {
    "present": "nginx answers that the application is not available.",
    "absent": "nginx no longer answers that the application is not available.",
}


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    file = Path(params["directory"]) / f"{MAINTENANCE}{params['release'] or led_to(params['directory'])}"
    wanted = params["state"] == "present"
    if file.exists() == wanted:
        return {"changed": False, "actions": []}
    if not module.check_mode:
        insist()
        try:
            if wanted:
                file.touch(0o644)
            else:
                file.unlink(missing_ok=True)
        except OSError as error:
            raise SlipwayError(
                f"nginx can't be told whether the application is available: {file}: {error.strerror}; {advice(error)}."
            ) from error
    return {"changed": True, "actions": [DONE[params["state"]]]}


def led_to(directory: str) -> str:
    """The release that nginx's configuration in this directory leads to."""
    found = re.search(rf"/{MAINTENANCE}([^\s/]+)\)", read(f"{directory}/nginx.conf"))
    if not found:
        raise SlipwayError(f"nginx on this host leads to no release yet, by {directory}/nginx.conf: deploy first.")
    return found[1]


def main() -> None:
    spec = {
        "directory": {"type": "path", "required": True},
        "release": {"type": "str", "default": ""},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    }
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
