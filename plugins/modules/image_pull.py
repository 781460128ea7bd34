#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
author: The Slipway contributors
short_description: Have images on a host, also of registries that ask who pulls
description:
  - Pulls the images that the host's engine does not have. One that is there is not asked for again.
  - A password is handed to the engine's client for one pull and is not kept on the host.
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
  images:
    description: Names of the images, such as V(postgres:17) or V(ghcr.io/shop/backend@sha256:…).
    type: list
    elements: str
    required: true
  registries:
    description: >-
      Who pulls, by registry: a dictionary with C(username) and C(password). V(docker.io) is the one of images that name
      none. From one that is not named here, whom the host's client is signed in as.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Have the images
  slipway.deploy.image_pull:
    images: [postgres:17, ghcr.io/shop/backend:1.4.2]
    registries:
      ghcr.io: {username: shop-bot, password: "{{ vault_registry_password }}"}
"""

RETURN = r"""
images:
  description: The engine's ID of each image that the host has now, by name.
  returned: success
  type: dict
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._host.registry import (
    REGISTRIES_SPEC,
    ids,
    logins,
    pull,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


def work(module: AnsibleModule) -> dict[str, Any]:
    who = logins(module)
    wanted = [image for image, number in ids(module.params["images"]).items() if number is None]
    if not module.check_mode:
        for image in wanted:
            insist()
            pull(image, who)
    said = "Would pull" if module.check_mode else "Pulled"
    return {
        "changed": bool(wanted),
        "actions": [f"{said} {image}." for image in wanted],
        "images": {name: number for name, number in ids(module.params["images"]).items() if number},
    }


def main() -> None:
    spec = {
        "images": {"type": "list", "elements": "str", "required": True},
        **REGISTRIES_SPEC,
    }
    run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
