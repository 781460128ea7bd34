#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module ``image_copy``; the controller's side is the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_copy
short_description: Have an image that another host has built, without a registry
version_added: 0.1.0
author: The Slipway contributors
description:
  - Where the engine has no image of that name and tag, it gets the one of the other host, by way of the controller and
    of no file there. Layers that it has are not sent; of a release with the same dependencies only what changed is.
  - Both hosts are reached as Ansible reaches them, by ssh with a key that needs no answer, and by sudo without a
    password.
options:
  image:
    description: The image, as RV(slipway.deploy.image#module:image) returned it on the other host.
    type: dict
    required: true
    suboptions:
      ref: {description: Name and tag., type: str, required: true}
      id: {description: The engine's id., type: str, default: ""}
      architecture: {description: For which CPUs it is., type: str, default: ""}
      layers: {description: "The digests of its layers, from the bottom.", type: list, elements: str, default: []}
      digest: {description: Of what it is built from., type: str}
  host:
    description: The host that has the image, by its name in the inventory.
    type: str
    required: true
  keep:
    description: How many older images of this name stay when one has come. One that a container uses always stays.
    type: int
    default: 3
  timeout:
    description: Seconds that it may be on its way.
    type: int
    default: 1800
  sent:
    description: Set by the action plugin.
    type: bool
    default: false
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - the command C(docker) on both hosts
"""

EXAMPLES = r"""
- name: Have what the first host has built
  slipway.deploy.image_copy:
    image: "{{ hostvars['web1'].built.image }}"
    host: web1
"""

RETURN = r"""
image:
  description: The image that is there now, or in check mode would be.
  returned: success
  type: dict
  contains:
    ref: {description: Name and tag., type: str, sample: "shop-backend:3f1d0c9a4b7e"}
    id: {description: The engine's id of the image; empty when it is not there yet., type: str}
actions:
  description: What was done, in sentences.
  returned: success
  type: list
  elements: str
"""

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release import image as images
from ansible_collections.slipway.deploy.plugins.module_utils._release.image_archive import known


def ensure(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    wanted, host = params["image"], params["host"]
    ref = wanted["ref"]
    name = ref.rpartition(":")[0]
    image = {"ref": ref, "id": images.look(ref).id}
    done = f"Copied {ref} from host {host}."
    if params["sent"]:
        if not image["id"]:
            raise SlipwayError(
                f"{ref} came from host {host}, and the engine does not have it under that name: see whether its log "
                "says why."
            )
        return {"changed": True, "image": image, "actions": [done, *images.prune(name, ref, params["keep"])]}
    if image["id"]:
        return {"changed": False, "image": image, "actions": []}
    here = docker.must("version", "--format", "{{.Server.Arch}}").strip()
    if wanted["architecture"] and wanted["architecture"] != here:
        raise SlipwayError(
            f"{ref} was built on host {host} for {wanted['architecture']}, and this host's CPU is {here}: have each "
            "host build its own."
        )
    return {
        "changed": True,
        "missing": True,
        "image": image,
        "skip": known(wanted["layers"], layers()),
        "actions": [done],
    }


def layers() -> list[list[str]]:
    """The layers of each image that the engine has."""
    found = docker.must("image", "ls", "--quiet", "--no-trunc").split()
    told = docker.must("image", "inspect", "--format", "{{json .RootFS.Layers}}", *sorted(set(found))) if found else ""
    return [json.loads(line) or [] for line in told.splitlines()]


def main() -> None:
    image = {
        "ref": {"type": "str", "required": True},
        "id": {"type": "str", "default": ""},
        "architecture": {"type": "str", "default": ""},
        "layers": {"type": "list", "elements": "str", "default": []},
        "digest": {"type": "str"},
    }
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "dict", "required": True, "options": image},
            "host": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 1800},
            "sent": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, ensure)


if __name__ == "__main__":
    main()
