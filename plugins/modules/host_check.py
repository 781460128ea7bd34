#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_check
author: The Slipway contributors
short_description: See whether a host can take the application, before anything is written to it
description:
  - Looks at the port that the application is to be reached on, the container engine and the free disk space.
  - A port that the application itself holds is no problem.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Only reads.
  diff_mode:
    support: none
    details: Changes nothing.
  idempotent:
    support: full
    details: Only reads.
options:
  address:
    description: Address on which the application is reached.
    type: str
    required: true
  port:
    description: Port on which the application is reached.
    type: int
    required: true
  process_directory:
    description: State directory of the application's M(slipway.deploy.process), which may hold the port.
    type: path
  container:
    description: Name of the application's container that may hold the port. Giving it demands an engine.
    type: str
  engine_optional:
    description: Whether a missing engine is no failure, since it will be installed.
    type: bool
    default: false
  directory:
    description: State directory; its file system must have O(free_megabytes).
    type: path
    required: true
  free_megabytes:
    description: Megabytes that must be free.
    type: int
    default: 500
"""

EXAMPLES = r"""
- name: See whether the host can take the application
  slipway.deploy.host_check:
    address: 127.0.0.1
    port: 8081
    container: autotest-test-frontend
    directory: /var/lib/slipway/autotest/test
"""

RETURN = r"""
host:
  description: What was found.
  type: dict
  returned: success
  contains:
    engine: {description: Version of the container engine; empty when none answers or none is asked for., type: str}
    free_megabytes: {description: Free space., type: int}
"""

import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils import _docker, _process_host
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run


def engine_version(optional: bool) -> str:
    """The engine's version, or '' when it is optional and does not answer."""
    try:
        return _docker.must("version", "--format", "{{.Server.Version}}").strip()
    except SlipwayError as error:
        if optional:
            return ""
        raise SlipwayError(
            f"No Docker engine answers on this host ({error}): start it, let this user reach it, or, where there is "
            "no Docker at all, set docker_install to true to have it installed from the distribution's packages."
        ) from error


def holds_port(container: str, port: int) -> bool:
    """Whether the application's container is the one that publishes the port."""
    names = _docker.must("ps", "--filter", f"publish={port}", "--format", "{{.Names}}").split()
    return container in names


def free_megabytes(directory: Path) -> int:
    """Free space of the file system on which the directory is, or will be."""
    while not directory.exists():
        directory = directory.parent
    return shutil.disk_usage(directory).free // 2**20


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    if not 0 < params["port"] < 2**16:
        raise SlipwayError(f"Port {params['port']} does not exist: set a port from 1 to 65535.")
    engine, ours = "", False
    if params["container"]:
        engine = engine_version(params["engine_optional"])
        ours = bool(engine) and holds_port(params["container"], params["port"])
    if params["process_directory"]:
        door = _process_host.Service(params["process_directory"]).record.door
        ours = ours or (door is not None and door.port == params["port"] and _process_host.alive(door))
    if not ours:
        try:
            _process_host.claim(params["address"], params["port"])
        except SlipwayError as error:
            # It is the engine that publishes a container's port, and it may do what this user may not.
            if not (engine and isinstance(error.__cause__, PermissionError)):
                raise
    free = free_megabytes(Path(params["directory"]))
    if free < params["free_megabytes"]:
        raise SlipwayError(
            f"{params['directory']} has {free} MB free, a deploy needs {params['free_megabytes']} MB: free some space, "
            "or set state_dir to another file system."
        )
    return {"changed": False, "host": {"engine": engine, "free_megabytes": free}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "process_directory": {"type": "path"},
            "container": {"type": "str"},
            "engine_optional": {"type": "bool", "default": False},
            "directory": {"type": "path", "required": True},
            "free_megabytes": {"type": "int", "default": 500},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
