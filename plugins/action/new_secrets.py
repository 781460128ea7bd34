# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts new secrets in the place of generated ones, in their file on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.lookup.generated_secret import keep, load, new_secret


class ActionModule(ActionBase):
    """The action of ``new_secrets``: no host is asked."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Insist that they are there, and replace them unless in check mode."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, given = self.validate_argument_spec(
            {
                "file": {"type": "path", "required": True},
                "names": {"type": "list", "elements": "str", "required": True},
                "without_former": {"type": "list", "elements": "str", "default": []},
                "values": {"type": "dict", "default": {}},
            }
        )
        file, names = Path(self._loader.path_dwim(given["file"])), given["names"]
        there = load(file)
        if missing := [name for name in names if name not in there]:
            raise AnsibleActionFail(
                f"{file} holds no secret {', '.join(missing)} to replace, so that nothing was changed; it holds "
                f"{', '.join(sorted(there)) or 'none'}."
            )

        def change(kept: dict[str, str]) -> None:
            for name in names:
                if name not in given["without_former"]:
                    kept[f"{name}_former"] = kept[name]
                kept[name] = new_secret()
            kept.update(given["values"])

        if not self._task.check_mode:
            keep(file, change)
        return {**result, "changed": True, "actions": [f"Made a new {name} in {file}." for name in names]}
