# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's side of the module ``image_copy``: what one engine lacks goes there from the other, through a pipe."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.interleave import RECEIVE
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.ssh import plain_ssh_command, python_of
from ansible_collections.slipway.deploy.plugins.plugin_utils._release.image_stream import LOAD, stream


class ActionModule(ActionBase):
    """The action of ``image_copy``."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        result = self._call(task_vars)
        skip = result.pop("skip", 0)
        if not result.pop("missing", False) or self._task.check_mode:
            return result
        variables = (task_vars or {})["hostvars"]
        ref, host = self._task.args["image"]["ref"], self._task.args["host"]
        here = (task_vars or {})["inventory_hostname"]
        try:
            source = plain_ssh_command(variables[host], [python_of(variables[host]), "-Ic", RECEIVE])
            target = plain_ssh_command(variables[here], LOAD)
            timeout = int(self._task.args.get("timeout", 1800))
            try:
                stream(source, target, ref, skip, timeout)
            except SlipwayError:
                if not skip:
                    raise
                stream(source, target, ref, 0, timeout)  # an engine that wants each layer, as with containerd's store
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(
                f"{ref} could not be copied from host {host} to host {here}: {str(error).rstrip('.')}; it takes a key "
                "that ssh uses without asking, and sudo without a password. Mend it, or have each host build its own."
            ) from error
        return self._call(task_vars, sent=True)

    def _call(self, task_vars: dict[str, Any] | None, **more: object) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_args={**self._task.args, **more}, task_vars=task_vars)
        return result
