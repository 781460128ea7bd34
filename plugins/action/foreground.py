# SPDX-License-Identifier: GPL-3.0-or-later
"""Name the command that goes on in the terminal when the playbook has ended."""

from __future__ import annotations

import shlex
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

CALLBACK = "slipway.deploy.story"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("argv", "environment", "directory", "message"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self._task.args
        argv = [str(word) for word in arguments["argv"]]
        environment = {name: str(value) for name, value in (arguments.get("environment") or {}).items()}
        command, message = shlex.join(argv), arguments.get("message") or ""
        if self._task.check_mode:
            return {"changed": False, "msg": f"Would run: {command}", "_ansible_verbose_always": True}
        if C.DEFAULT_STDOUT_CALLBACK != CALLBACK:
            raise AnsibleActionFail(
                f"This takes the terminal over when the playbook has ended, which the callback {CALLBACK} does: set "
                f"ANSIBLE_STDOUT_CALLBACK={CALLBACK} and run again."
            )
        found = {"argv": argv, "environment": environment, "directory": str(arguments.get("directory") or "")}
        said = {"msg": message, "_ansible_verbose_always": True} if message else {}
        return {"changed": False, "command": command, "foreground": found, **said}
