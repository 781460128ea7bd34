# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions of the modules for migrations share: read the files on the controller, call the module once."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import from_task
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.progress import watched


class MigrationAction(ActionBase):
    """Hands what lies in the directory ``path`` to the module of the task's own name."""

    _supports_check_mode = True
    _supports_async = False
    # Which file beside migration.sql the module takes.
    companion = "verify"
    # Whether the module has the policy "lint".
    linted = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read, and call the module in one round trip."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        policy = arguments.get("policy")
        linted = self.linted and not (isinstance(policy, dict) and policy.get("lint") == "allow")
        files = from_task(self._loader, arguments.get("path"), self.companion, linted)
        arguments["_payload"] = files.payload.dump()
        result.update(watched(self, task_vars, arguments))
        return result
