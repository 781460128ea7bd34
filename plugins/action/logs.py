# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what the controller runs to show the logs of all hosts of a play in the order of their times."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach import interleave
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.ssh import python_of, ssh_command

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
OUTPUTS = ("table", "json")


def began(since: str, now: float) -> float:
    """The time of ``since``, such as 90s, 30m, 1h or 2d, before ``now``; 0 for ''. SlipwayError for another text."""
    found = re.fullmatch(r"(\d+)([smhd])", since)
    if since and not found:
        raise SlipwayError(f"since is {since!r} and must be a number with s, m, h or d, such as 30m or 1h: correct it.")
    return now - int(found[1]) * _UNITS[found[2]] if found else 0.0


class ActionModule(ActionBase):
    """The action of ``logs``."""

    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("sources", "follow", "since", "lines", "output", "secrets_file"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments, variables = self._task.args, task_vars or {}
        follow, output = bool(arguments.get("follow")), str(arguments.get("output") or "table")
        try:
            since = began(str(arguments.get("since") or ""), time.time())
            if output not in OUTPUTS or (follow and output == "json"):
                raise SlipwayError(
                    "Logs that are followed have no end, so that they are no JSON: leave out follow, or output."
                    if output == "json"
                    else f"Logs are not shown as {output}: set -e output= to one of {', '.join(OUTPUTS)}."
                )
            hosts = []
            for name in variables["ansible_play_hosts"]:
                host = variables["hostvars"][name]
                command = [python_of(host), "-Ic", interleave.RECEIVE]
                sources = arguments["sources"].get(name, [])
                if sources:
                    hosts.append({"host": name, "argv": ssh_command(host, command), "sources": sources})
        except SlipwayError as error:
            raise AnsibleActionFail(str(error)) from error
        spec = {
            "hosts": hosts,
            "follow": follow,
            "since": since,
            "lines": int(arguments.get("lines", 100)),
            "output": output,
            "secrets_file": str(arguments.get("secrets_file") or ""),
        }
        return {"changed": False, "argv": [sys.executable, interleave.__file__, json.dumps(spec)]}
