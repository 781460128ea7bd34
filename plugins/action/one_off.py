# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the command as it was typed, says who runs it, and how the controller's terminal reaches it on the host."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.action.deployment import this_run
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.command import words
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.ssh import ssh_command


class ActionModule(ActionBase):
    """The action of ``one_off``."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments, variables = dict(self._task.args), task_vars or {}
        typed_as, command = arguments.pop("typed_as", ""), arguments.pop("command", None)
        host = variables["hostvars"][variables["inventory_hostname"]]
        try:
            ssh_command(host, ["true"])  # whether there is a way at all, before anything is written
            arguments["argv"] = words(command, typed_as, context.CLIARGS.get("extra_vars") or ())
            run = this_run(arguments.get("application", ""), arguments.get("environment_name", ""), "run")
            result: dict[str, Any] = self._execute_module(
                module_name="slipway.deploy.one_off",
                module_args={**arguments, "run": asdict(run)},
                task_vars=task_vars,
            )
            if "argv" in result:
                result["argv"] = ssh_command(host, result["argv"], tty=True)
        except SlipwayError as error:
            raise AnsibleActionFail(str(error)) from error
        return result
