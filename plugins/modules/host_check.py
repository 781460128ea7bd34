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
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
options:
  address:
    description: Address on which the application is reached; empty where that is on another host.
    type: str
    required: true
  port:
    description: Port on which the application is reached.
    type: int
    required: true
  tls_port:
    description: Another port on which it is reached, with TLS; 0 for none.
    type: int
    default: 0
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
  embedded:
    description: Whether an embedded PostgreSQL is to run here, for which root needs a user namespace.
    type: bool
    default: false
  secrets_file:
    description: File of the controller that lacks the database's passwords, where it does.
    type: str
    default: ""
  files:
    description: Files that must be there, by the name of the variable that says so.
    type: dict
    default: {}
  look_for:
    description: Files or directories to look for, by names of one's own.
    type: dict
    default: {}
  systemd:
    description: The settings that ask for a service of systemd here, for which the user must be root.
    type: list
    elements: str
    default: []
  timers:
    description: The settings that ask for a program to be started on time here, by systemd or cron.
    type: list
    elements: str
    default: []
  server:
    description: A database server that must answer already.
    type: dict
    suboptions:
      login_host: {description: Address., type: str, default: ""}
      login_port: {description: Port., type: int, default: 5432}
      login_unix_socket: {description: Directory of the socket., type: path, default: ""}
      login_user: {description: Role., type: str, required: true}
      login_password: {description: Its password., type: str, default: ""}
      login_db: {description: Database., type: str, required: true}
      ssl_mode:
        description: As libpq's sslmode.
        type: str
        default: prefer
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      ca_cert: {description: File with the authority of the server's certificate., type: path}
      connect_timeout: {description: Seconds to wait., type: int, default: 10}
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
    found: {description: Names of what was looked for and is there., type: list, elements: str}
    free_megabytes: {description: Free space., type: int}
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import existing, free_megabytes, user_name
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import systemd, timers
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import embedded, identity
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    connect,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import service


def engine_version(optional: bool) -> str:
    """The engine's version, or '' when it is optional and does not answer."""
    try:
        return docker.must("version", "--format", "{{.Server.Version}}").strip()
    except SlipwayError as error:
        if optional:
            return ""
        raise SlipwayError(
            f"No Docker engine answers on this host ({error}): start it, let this user reach it, or, where there is "
            "no Docker at all, set docker_install to true to have it installed from the distribution's packages."
        ) from error


def holds_port(container: str, port: int) -> bool:
    """Whether the application's container is the one that publishes the port."""
    names = docker.must("ps", "--filter", f"publish={port}", "--format", "{{.Names}}").split()
    return container in names


def claim(address: str, port: int, engine: str) -> None:
    """Raise SlipwayError when nothing can listen there."""
    try:
        service.claim(address, port)
    except SlipwayError as error:
        # It is the engine that publishes a container's port, and it may do what this user may not.
        if not (engine and isinstance(error.__cause__, PermissionError)):
            raise


def check_rights(directory: Path) -> None:
    """Raise SlipwayError when this user may not make or fill the state directory."""
    place = existing(directory)
    if not os.access(place, os.W_OK | os.X_OK):
        raise SlipwayError(
            f"User {user_name()} may not write to {place}, and the state directory {directory} is to be there: set "
            f"state_dir to a directory of this user's, make {directory} and give it to {user_name()}, or become root "
            "(ansible_become)."
        )


def check_namespace() -> None:
    """Raise SlipwayError when this user is root and can't run PostgreSQL, which refuses root, as another."""
    command = embedded.unprivileged(["true"], os.geteuid())
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise SlipwayError(
            "PostgreSQL does not run as root, and root may not make a user namespace here to run it under another id "
            f"({' '.join(done.stderr.split())}): run as an ordinary user, allow user namespaces (sysctl "
            "user.max_user_namespaces, or the container's seccomp profile), or set database_runtime to container or "
            "external."
        )


def check_files(files: dict[str, str]) -> None:
    """Raise SlipwayError for a file that is not there; in the place of one that is missing Docker makes a directory."""
    for variable, file in files.items():
        if not Path(file).is_file():
            raise SlipwayError(
                f"{file}, which {variable} names, is no file on this host: put it there (every host of the database "
                f"and of the backend needs it), or correct {variable}."
            )


def check_server(login: dict[str, Any]) -> None:
    """Raise SlipwayError when the database server does not let the administrator in."""
    server = Server.from_params(login)
    try:
        connect(server).close()
    except SlipwayError as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise SlipwayError(
            f"The database server at {server.address} rejects role {server.user} ({reason}): start it, or correct "
            "database_host, database_port and its password."
        ) from error


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    ports = [params["port"], *filter(None, [params["tls_port"]])]
    for port in (port for port in ports if not 0 < port < 2**16):
        raise SlipwayError(f"Port {port} does not exist: set a port from 1 to 65535.")
    directory = Path(params["directory"])
    if params["secrets_file"] and (directory / identity.FILE).exists():
        raise SlipwayError(
            f"{params['secrets_file']} on this controller does not hold the database's passwords, but {directory} on "
            "this host belongs to a database that has them: they are in that file on the controller that deployed it, "
            "so copy it from there (mode 0600), or set the passwords in the inventory; nothing was generated."
        )
    check_rights(directory)
    if params["embedded"]:
        check_namespace()
    engine, ours = "", set[int]()
    if params["container"]:
        engine = engine_version(params["engine_optional"])
        ours |= {port for port in ports if engine and holds_port(params["container"], port)}
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
            if os.environ.get(name):
                module.warn(f"The containers are those of {name}={os.environ[name]}, as the environment says.")
    if params["process_directory"]:
        relay = service.Service(params["process_directory"]).state.relay
        ours |= {relay.port} if relay is not None and service.alive(relay) else set()
    for port in (port for port in ports if params["address"] and port not in ours):
        claim(params["address"], port, engine)
    check_files(params["files"])
    for wanted in params["systemd"]:
        systemd.insist(wanted)
    for wanted in params["timers"]:
        timers.insist(wanted)
    if params["server"]:
        check_server(params["server"])
    free = free_megabytes(directory)
    if free < params["free_megabytes"]:
        raise SlipwayError(
            f"{params['directory']} has {free} MB free, a deploy needs {params['free_megabytes']} MB: free some space, "
            "or set state_dir to another file system."
        )
    found = [name for name, path in params["look_for"].items() if Path(path).exists()]
    return {"changed": False, "host": {"engine": engine, "found": found, "free_megabytes": free}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "tls_port": {"type": "int", "default": 0},
            "process_directory": {"type": "path"},
            "container": {"type": "str"},
            "engine_optional": {"type": "bool", "default": False},
            "directory": {"type": "path", "required": True},
            "free_megabytes": {"type": "int", "default": 500},
            "embedded": {"type": "bool", "default": False},
            "secrets_file": {"type": "str", "default": "", "no_log": False},
            "files": {"type": "dict", "default": {}},
            "look_for": {"type": "dict", "default": {}},
            "systemd": {"type": "list", "elements": "str", "default": []},
            "timers": {"type": "list", "elements": "str", "default": []},
            "server": {"type": "dict", "options": CONNECTION_SPEC},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
