#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``docker_absent``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_absent
short_description: Remove containers, volumes and a network
version_added: 0.1.0
author: The Slipway contributors
description:
  - Stops and removes containers, then removes volumes, then the network; what is not there is no failure.
  - Before each of them the module sees that its run is still the one in charge, so that a run whose controller was
    killed removes nothing more once another has taken over.
options:
  containers:
    description: Names of containers. Their anonymous volumes go with them.
    type: list
    elements: str
    default: []
  label:
    description: Containers and networks that carry it go too, C(NAME=VALUE); empty for none.
    type: str
    default: ""
  stop_timeout:
    description: Seconds that a container has to end before it is killed.
    type: int
    default: 10
  volumes:
    description: Regular expressions; volumes whose whole name one of them matches go with their data.
    type: list
    elements: str
    default: []
  network:
    description: Name of a network; empty for none.
    type: str
    default: ""
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Says what it would remove.
  diff_mode:
    support: none
    details: C(actions) says what was done.
  idempotent:
    support: full
requirements:
  - the command C(docker) on the host
"""

EXAMPLES = r"""
- name: Remove the containers of every release
  slipway.deploy.docker_absent:
    label: slipway.backend=shop-test-backend
    stop_timeout: 40

- name: Remove the server with the data of every version
  slipway.deploy.docker_absent:
    containers: [shop-test-postgres]
    stop_timeout: 120
    volumes: ['shop-test-postgres-[0-9]+']
"""

RETURN = r"""
actions:
  description: What was removed, or would be in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

LONGER = 60  # seconds that the engine may take beside a container's own


def listed(*command: str) -> list[str]:
    """The names that a ``docker`` command lists, one a line."""
    return docker.must(*command).split()


def find(params: dict[str, Any]) -> dict[str, list[str]]:
    """What is there of what is to go, by its kind, in the order in which it goes."""
    containers = [name for name in params["containers"] if docker.found("container", name, "{{.Name}}") is not None]
    if params["label"]:
        containers += listed("ps", "--all", f"--filter=label={params['label']}", "--format={{.Names}}")
    volumes = listed("volume", "ls", "--format={{.Name}}") if params["volumes"] else []
    network = params["network"]
    networks = [network] if network and docker.found("network", network, "{{.Name}}") is not None else []
    if params["label"]:
        networks += listed("network", "ls", f"--filter=label={params['label']}", "--format={{.Name}}")
    return {
        "container": list(dict.fromkeys(containers)),
        "volume": [name for name in volumes if any(re.fullmatch(pattern, name) for pattern in params["volumes"])],
        "network": list(dict.fromkeys(networks)),
    }


def work(module: AnsibleModule) -> dict[str, Any]:
    found, seconds = find(module.params), module.params["stop_timeout"]
    actions = []
    for kind, names in found.items():
        for name in names:
            if not module.check_mode:
                insist()
                if kind == "container":
                    docker.must("stop", "-t", str(seconds), name, timeout=seconds + LONGER)
                    insist()
                docker.must(kind, "rm", *(["--volumes"] if kind == "container" else []), name)
            actions.append(f"Removed {kind} {name}.")
    return {"changed": bool(actions), "actions": actions}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "containers": {"type": "list", "elements": "str", "default": []},
            "label": {"type": "str", "default": ""},
            "stop_timeout": {"type": "int", "default": 10},
            "volumes": {"type": "list", "elements": "str", "default": []},
            "network": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
