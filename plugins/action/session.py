# SPDX-License-Identifier: GPL-3.0-or-later
"""Begin an operator's session on a database: find the way to it, and leave the terminal to the program."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible_collections.slipway.deploy.plugins.action.foreground import ActionModule as Foreground
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.ssh import is_local, plain_ssh_command, python_of
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.tunnel import pump
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import Session

START = Path(__file__).parents[1] / "plugin_utils" / "_session" / "start.py"
SPEC = {
    "program": {"type": "str", "required": True, "choices": ["psql", "studio"]},
    "label": {"type": "str", "required": True},
    "access": {"type": "str", "required": True},
    "login": {"type": "dict", "required": True, "options": CONNECTION_SPEC},
    "options": {
        "type": "dict",
        "options": {
            "sql": {"type": "str", "default": ""},
            "csv": {"type": "bool", "default": False},
            "bindir": {"type": "str", "default": ""},
            "port": {"type": "int", "default": 0},
            "minutes": {"type": "int", "default": 60},
        },
        "apply_defaults": True,
    },
}


class ActionModule(Foreground):
    _requires_connection = True
    _VALID_ARGS = frozenset[str]()  # SPEC says it

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = (task_vars or {})["hostvars"][(task_vars or {})["inventory_hostname"]]
        _result, given = self.validate_argument_spec(SPEC)
        try:
            session = self.find(given, variables, task_vars or {})
        except SlipwayError as error:
            raise AnsibleActionFail(str(error)) from error
        file = Path(tempfile.gettempdir()) / f"slipway-{secrets.token_hex(8)}.json"
        self._task.args = {"argv": [sys.executable, str(START), given["program"], str(file)]}
        result = super().run(tmp, task_vars)
        if self._task.check_mode:
            return {**result, "msg": f"Would open {given['program']} on {session.label}, {session.access}."}
        # Where it is in no result, no argument list, and no other user's sight; the program removes it at once.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            json.dump(dataclasses.asdict(session), opened)
        return result

    def find(self, given: Mapping[str, Any], variables: Mapping[str, Any], task_vars: dict[str, Any]) -> Session:
        """The session, with the way to the database."""
        server = Server.from_params(given["login"])
        session = Session(given["label"], given["access"], server, options=given["options"])
        if self._connection.transport == "local" or is_local(variables):
            return session
        target = f"{server.socket_dir}/.s.PGSQL.{server.port}" if server.socket_dir else f"{server.host}:{server.port}"
        python = python_of(variables)
        ways = [tuple(plain_ssh_command(variables, pump(python, target, kind))) for kind in ("pump", "probe")]
        host = str(variables.get("ansible_host") or variables["inventory_hostname"])
        return dataclasses.replace(
            session, host=host, tunnel=ways[0], probe=ways[1], ca=self.read(server.ca_cert, task_vars)
        )

    def read(self, file: str | None, task_vars: dict[str, Any]) -> str:
        """The text of a file of the host."""
        if not file:
            return ""
        found = self._execute_module("ansible.builtin.slurp", module_args={"src": file}, task_vars=task_vars)
        if found.get("failed"):
            raise SlipwayError(f"The certificate authority {file} can't be read on the host: {found.get('msg')}.")
        return base64.b64decode(found["content"]).decode()
