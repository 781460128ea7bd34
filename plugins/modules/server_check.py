#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: server_check
author: The Slipway contributors
short_description: See that a PostgreSQL container is the environment's, before it is started or replaced
description:
  - Stops when the environment's database lives on another major version, or when its data is missing, so that no empty
    server takes the place of one that holds data.
  - Says whether the server is known and runs, for a run in check mode.
  - Writes the file from which the container takes the superuser's password, and says when a container has that in its
    environment still, as those of earlier versions do, and is therefore replaced.
  - Removes the container and the volume of a first start that was cut short in its C(initdb), so that it begins anew.
    Only where O(identity_file) remembers no server and the data directory itself proves that it never served, with no
    database but those of an C(initdb) that did not end.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Says what would be removed or written.
  diff_mode:
    support: none
    details: What it writes is a secret.
  idempotent:
    support: full
    details: Removes only what never served, and writes only what differs.
options:
  identity_file:
    description: File on the host in which M(slipway.deploy.database) remembers the server.
    type: path
    required: true
  version:
    description: Major version that is to be started.
    type: int
    required: true
  container:
    description: Name of the container.
    type: str
    required: true
  volume:
    description: Name of the volume of its data.
    type: str
    required: true
  image:
    description: Image to look into the volume with. Without, nothing is looked for or removed.
    type: str
    default: ""
  engine_ready:
    description: Whether there is an engine to ask. Without, nothing but O(identity_file) and O(version) counts.
    type: bool
    default: true
  password:
    description: Password of the superuser, for O(password_file).
    type: str
  password_file:
    description: File on the host, in a directory of its own, that the container takes the superuser's password from.
    type: path
requirements:
  - the command C(docker) on the host
"""

EXAMPLES = r"""
- name: See that the server is this environment's
  slipway.deploy.server_check:
    identity_file: /var/lib/slipway/autotest/test/database.json
    version: 17
    container: autotest-test-postgres
    volume: autotest-test-postgres-17
    password: "{{ vault_superuser_password }}"
    password_file: /var/lib/slipway/autotest/test/postgres-secrets/superuser-password
"""

RETURN = r"""
actions:
  description: What was removed and written, or would be in check mode, and why the container is replaced.
  type: list
  elements: str
  returned: success
server:
  description: The server as it is.
  type: dict
  returned: success
  contains:
    known: {description: Whether the environment has a server or its data., type: bool}
    running: {description: Whether the container runs., type: bool}
"""

import json
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker, secret_files
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import first_start
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.identity import check_start, remembered


def keep_password(module: AnsibleModule, state: str | None) -> list[str]:
    """Write the file where it differs. ``state`` is the container's, None where there is none."""
    name, file, actions = module.params["container"], Path(module.params["password_file"]), []
    files = {file.name: module.params["password"]}
    # The official image's entrypoint reads it as root, before it becomes the server's user.
    if secret_files.differs(file.parent, files):
        if not module.check_mode:
            secret_files.write(file.parent, files)
        actions.append(f"Wrote {file}, from which container {name} takes the superuser's password.")
    environment = (docker.found("container", name, "{{json .Config.Env}}") if state else None) or "null"
    if any(entry.startswith("POSTGRES_PASSWORD=") for entry in json.loads(environment) or []):
        actions.append(
            f"Saw that container {name} has the superuser's password in its environment: it is replaced by one that "
            f"has not, and its data stay in volume {module.params['volume']}."
        )
    return actions


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    file, ready = Path(params["identity_file"]), params["engine_ready"]
    exists = ready and docker.found("volume", params["volume"], "{{.Name}}") is not None
    check_start(file, params["version"], f"the volume {params['volume']}", exists or not ready)
    state = docker.found("container", params["container"], "{{.State.Status}}") if ready else None
    actions = []
    if exists and params["image"] and not remembered(file):
        paths = first_start.look(params["volume"], params["image"])
        if first_start.never_served(paths, state == "running"):
            actions = [
                f"Removed volume {params['volume']} with what a first start that was cut short left in it: it never "
                "served and holds no data."
            ]
            if not module.check_mode:
                if state:
                    docker.must("rm", "--force", params["container"])
                docker.must("volume", "rm", params["volume"])
            exists, state = False, None
    if params["password_file"]:
        actions += keep_password(module, state)
    return {
        "changed": bool(actions),
        "actions": actions,
        "server": {"known": exists or bool(remembered(file)), "running": state in ("running", "restarting")},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "identity_file": {"type": "path", "required": True},
            "version": {"type": "int", "required": True},
            "container": {"type": "str", "required": True},
            "volume": {"type": "str", "required": True},
            "image": {"type": "str", "default": ""},
            "engine_ready": {"type": "bool", "default": True},
            "password": {"type": "str", "no_log": True},
            "password_file": {"type": "path", "no_log": False},
        },
        required_together=[("password", "password_file")],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
