# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions of modules that write share, where the controller has nothing to add: a run ends after them."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.progress import watched


class StoppingAction(ActionBase):
    """Calls the module of the task's own name; a signal goes on to it, and its end is waited for."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call it in one round trip."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(watched(self, task_vars))
        return result
