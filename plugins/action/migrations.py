# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations on the controller and hands them to the module of the same name, in one round trip."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration_files import MigrationFiles, from_task


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action of ``migrations`` and, below their own names, of the other modules that take a payload."""

    _supports_check_mode = True
    _supports_async = False
    beside = "verify"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read, call the module, and add the SQL of what is or was pending as a difference."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        files = from_task(self._loader, arguments.get("path"), self.beside)
        arguments["_payload"] = files.payload.dump()
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if self._task.diff and result.get("changed"):
            report = result["migrations"]
            done = [each["name"] for each in report["applied_now"]]
            result["diff"] = _difference(files, done or report["pending"])
        return result


def _difference(files: MigrationFiles, names: list[str]) -> list[dict[str, str]]:
    return [
        {
            "before_header": "not applied",
            "after_header": files.scripts[name].path,
            "before": "",
            "after": files.scripts[name].text,
        }
        for name in names
        if name in files.scripts
    ]
