# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell those who are to be told, from the controller."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.notification import tell

display = Display()


class ActionModule(ActionBase):
    """The action of ``notify``."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(
            {
                "receivers": {"type": "list", "elements": "str", "required": True, "no_log": True},
                "title": {"type": "str", "required": True},
                "body": {"type": "str", "required": True},
                "kind": {"type": "str", "choices": ["success", "failure"], "default": "failure"},
            }
        )
        receivers = [] if self._task.check_mode else options["receivers"]
        unheard = tell(receivers, options["title"], options["body"], options["kind"])
        for each in unheard:
            display.warning(each)
        return {"changed": False, "told": len(receivers) - len(unheard), "unheard": unheard}
