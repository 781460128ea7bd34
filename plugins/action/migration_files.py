# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and checks the migrations on the controller alone."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import from_task
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.server_needs import embedded_problem


class ActionModule(ActionBase):
    """The action of ``migration_files``: no host is asked."""

    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("path", "strict", "embedded", "extensions"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read the directory; fail at a file that can't be applied, unless ``strict`` is false.

        Also at one that needs what the server, if it is ``embedded``, does not have.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        options = {
            "path": {"type": "str", "required": True},
            "strict": {"type": "bool", "default": True},
            "embedded": {"type": "bool", "default": False},
            "extensions": {"type": "list", "elements": "str", "default": []},
        }
        _, arguments = self.validate_argument_spec(options)
        files = from_task(self._loader, arguments["path"])
        problems = [each.problem for each in files.migrations if each.problem]
        if problems and arguments["strict"]:
            raise AnsibleActionFail("\n".join(problems))
        names = [each.name for each in files.migrations]
        lacking = embedded_problem(names, files.scripts, arguments["extensions"]) if arguments["embedded"] else ""
        if lacking:
            raise AnsibleActionFail(lacking)
        return {**result, "changed": False, "names": names, "problems": problems}
