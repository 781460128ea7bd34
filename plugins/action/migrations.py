# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations on the controller for the module ``migrations``, and shows what a rehearsal saw."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.action import MigrationAction
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.rehearsal_report import shown


class ActionModule(MigrationAction):
    """The action of ``migrations``."""

    linted = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the module, and add the table for the callback."""
        result = super().run(tmp, task_vars)
        table = shown(result.get("rehearsal") or [])
        return {**result, "shown": table} if table else result
