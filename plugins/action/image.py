# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's side of the module ``image``: digest the context, send it only where the image is missing."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._release.tree_action import TreeAction


class ActionModule(TreeAction):
    inputs = ("dockerfile", "build_args")

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        self._task.args.setdefault("dockerfile", "Dockerfile")
        return super().run(tmp, task_vars)
