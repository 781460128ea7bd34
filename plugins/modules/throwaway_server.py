#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: throwaway_server
author: The Slipway contributors
short_description: Make a PostgreSQL server like another host's, for the copy of a database
description:
  - A backup is proved, and migrations are rehearsed, on a copy of the database. On a server of another host, that copy
    costs the database's host nothing but the dump and what goes over the network.
  - With O(state=described) on the database's host, it says what its server is like, and makes a key for the way to the
    other host. With O(state=present) there, it makes and starts such a server. M(slipway.deploy.backup) on the
    database's host then has the copy on it (O(slipway.deploy.backup#module:proof_at)).
  - The server there listens on a Unix socket alone. A process of Python leads to it over TLS. It lets in whoever has
    the key of this run, which does not leave the database's host, and the database's host knows its certificate in
    advance. It needs C(openssl) on both hosts.
  - Where the database's server is in a container (O(container)), this one is in a container of the same image, which is
    pulled where it is not there. The programs of the first reach it by a directory beside their own server's socket.
  - It is removed, with all that it holds, when the scratch database is dropped, when the database's host has been
    silent for a minute, and before one is made in its directory.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.client_programs
attributes:
  check_mode:
    support: full
    details: Looks for the programs and at the space, says what would be made, and writes nothing.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: none
    details: Every run makes a key, or a server.
options:
  state:
    description: Whether to say what the server of this host is like, or to have one like another host's.
    type: str
    choices: [described, present]
    required: true
  directory:
    description:
      - With O(state=described), the directory of the backups, in which M(slipway.deploy.backup) has its end of the way.
      - With O(state=present), the directory for the server. Make no other use of it.
    type: path
    required: true
  login:
    description: With O(state=described), how to reach the database that is to be copied.
    type: dict
    suboptions:
      login_host: {description: Its host., type: str, default: ""}
      login_port: {description: Its port., type: int, default: 5432}
      login_unix_socket: {description: The directory of its socket., type: path, default: ""}
      login_user: {description: The role that takes the backup., type: str, required: true}
      login_password: {description: That role's password., type: str, default: ""}
      login_db: {description: The database., type: str, required: true}
      ssl_mode:
        description: As libpq's C(sslmode).
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: prefer
      ca_cert: {description: The authority of its certificate., type: path}
      connect_timeout: {description: Seconds to wait for a connection., type: int, default: 10}
  described:
    description: With O(state=present), what the other host returned as RV(described).
    type: str
  name:
    description: With O(state=present), what this host is called in sentences.
    type: str
    default: ""
  host:
    description: With O(state=present), the address at which the database's host reaches this one.
    type: str
    default: ""
  address:
    description: With O(state=present), the address to listen on. Empty is all of the same family as O(host).
    type: str
    default: ""
  port:
    description: With O(state=present), the port to listen on. V(0) is one that is free.
    type: int
    default: 0
  registries:
    description: With O(state=present), who pulls the image where it is not there; see M(slipway.deploy.image_pull).
    type: dict
    default: {}
seealso:
  - module: slipway.deploy.backup
"""

EXAMPLES = r"""
- name: See what the database's server is like
  slipway.deploy.throwaway_server:
    state: described
    directory: /var/lib/slipway/autotest/prod/backups
    login:
      login_unix_socket: /var/lib/slipway/autotest/prod/run
      login_user: postgres
      login_password: "{{ postgres_superuser_password }}"
      login_db: autotest
  register: like

- name: Make one like it on another host
  slipway.deploy.throwaway_server:
    state: present
    directory: /var/lib/slipway/autotest/prod/proof
    described: "{{ like.described }}"
    name: proving
    host: proving.example.com
  delegate_to: proving
  register: made

- name: Take a backup, and prove it there
  slipway.deploy.backup:
    proof_at: "{{ made.server }}"
    login_unix_socket: /var/lib/slipway/autotest/prod/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: autotest
    directory: /var/lib/slipway/autotest/prod/backups
    application: autotest
    environment_name: prod
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode.
  type: list
  elements: str
  returned: success
  sample: [Started a server of PostgreSQL 17 for the copy in /var/lib/slipway/autotest/prod/proof.]
described:
  description: What the server is like, for O(described) on the other host; no password is in it.
  type: str
  returned: with O(state=described)
server:
  description: Where the server is, for O(slipway.deploy.backup#module:proof_at).
  type: dict
  returned: with O(state=present)
"""

import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.place import Place, traits
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.registry import (
    REGISTRIES_SPEC,
    ids,
    logins,
    pull,
)
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases, throwaway, throwaway_remote
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC, Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    autocommit,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway_remote import Description
from ansible_collections.slipway.deploy.plugins.module_utils._run import fence

SPEC: dict[str, dict[str, Any]] = {
    **CLIENT_SPEC,
    "state": {"type": "str", "choices": ["described", "present"], "required": True},
    "directory": {"type": "path", "required": True},
    "login": {"type": "dict", "options": CONNECTION_SPEC},
    "described": {"type": "str"},
    "name": {"type": "str", "default": ""},
    "host": {"type": "str", "default": ""},
    "address": {"type": "str", "default": ""},
    "port": {"type": "int", "default": 0},
    **REGISTRIES_SPEC,
}


def described(module: AnsibleModule) -> dict[str, Any]:
    params, directory = module.params, Path(module.params["directory"])
    server = Server.from_params(params["login"])
    if params["container"] and not server.socket_dir:
        raise SlipwayError(
            f"The server in container {params['container']} is reached at {server.address}: name the directory of its "
            "socket on this host as login_unix_socket, through which its programs reach the other host."
        )
    with sql_errors(f"Looking at the server of database {server.database!r}"), autocommit(server) as admin:
        about = databases.describe(admin, server.database)
        client = Client.from_params(params, server, about.server_major)
        found = traits(Place(server, admin, client, about))
    actions = throwaway.removed(directory, check_mode=module.check_mode)
    shape = throwaway.Shape.of(client.container, about.data_directory) if client.container else None
    size = int(about.size * params["space_factor"])
    certificate = "" if module.check_mode else throwaway_remote.make_key(directory / throwaway.HOME)
    told = Description(found, about.server_major, size, certificate, client.container, shape)
    return {"changed": not module.check_mode, "actions": actions, "described": told.text()}


def present(module: AnsibleModule) -> dict[str, Any]:
    params, directory = module.params, Path(module.params["directory"])
    told = Description.parse(params["described"])
    who = logins(module)
    address = params["address"] or ("::" if ":" in params["host"] else "0.0.0.0")
    server = Server(told.traits.superuser, "postgres")
    client = Client(server, told.major, params["bindir"] or "", told.container)
    own = throwaway.Throwaway(directory, client, told.shape)
    own.check()
    store.check_space(directory, told.size, "", 0, None)
    what = f"a server of PostgreSQL {told.major} for the copy in {directory}"
    where = {"name": params["name"], "host": params["host"], "port": params["port"], "certificate": ""}
    if module.check_mode:
        return {"changed": True, "actions": [f"Would start {what}."], "server": where}
    with store.locked(directory):
        left = throwaway.removed(directory)
        if told.shape and ids([told.shape.image])[told.shape.image] is None:
            pull(told.shape.image, who)
        far = throwaway_remote.Far(own)
        port, certificate = far.start(told.traits, told.certificate, address, params["port"])
    where.update(port=port, certificate=certificate)
    return {"changed": True, "actions": [*left, f"Started {what}."], "server": where}


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        supports_check_mode=True,
        mutually_exclusive=[("bindir", "container")],
        required_if=[("state", "described", ["login"]), ("state", "present", ["described", "host"])],
    )
    if module.params["state"] == "present":
        os.environ.pop(fence.VARIABLE, None)  # the run is in charge of the database's host, and this is another
        run(module, present)
    else:
        run(module, described)


if __name__ == "__main__":
    main()
