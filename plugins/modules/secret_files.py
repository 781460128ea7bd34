#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: secret_files
author: The Slipway contributors
short_description: Keep the secrets that a release in a container reads from files
description:
  - Writes each secret to a file of a directory that the release's container is to mount, for the user as whom its image
    runs alone (0600, in a directory of 0700).
  - Removes the directories beside it that no container mounts any more.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Says what would be written and removed; who the files would belong to is not looked at.
  diff_mode:
    support: none
    details: What it writes is secret.
  idempotent:
    support: full
    details: Writes only what differs.
options:
  directory:
    description: Directory of the files, among others of this application alone. Other values want another one.
    type: path
    required: true
  files:
    description: Content of each file, by its name. Without any, only what is left over is removed.
    type: dict
    default: {}
  image:
    description: Image of the release, on the host.
    type: str
    required: true
requirements:
  - the command C(docker) on the host
"""

EXAMPLES = r"""
- name: Keep what the release reads from files
  slipway.deploy.secret_files:
    directory: /var/lib/slipway/shop/test/backend-secrets/9b0d44c1f2aa
    files:
      DATABASE_URL: "{{ database_url }}"
    image: shop-test-backend:3f1d0c9a4b7e
"""

RETURN = r"""
actions:
  description: What was written and removed, or would be in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._host import secret_files
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.secret_files import reader, unused
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


def work(module: AnsibleModule) -> dict[str, Any]:
    directory = Path(module.params["directory"])
    files = {name: str(value) for name, value in module.params["files"].items()}
    actions = []
    if files and module.check_mode:
        if not directory.exists():
            actions.append(f"Wrote the application's secrets into {directory}.")
    elif files:
        uid = reader(module.params["image"])
        if secret_files.differs(directory, files, uid):
            insist()
            secret_files.write(directory, files, uid)
            actions.append(f"Wrote the application's secrets into {directory}.")
    for path in unused(directory):
        if not module.check_mode:
            insist()
            shutil.rmtree(path)
        actions.append(f"Removed {path}, the secrets of a release that is gone.")
    return {"changed": bool(actions), "actions": actions}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "files": {"type": "dict", "default": {}, "no_log": True},
            "image": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
