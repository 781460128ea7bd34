# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations on the controller for the module ``migrations``, and shows the SQL that it applies."""

from __future__ import annotations

from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.action import MigrationAction
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import MigrationFiles


class ActionModule(MigrationAction):
    """The action of ``migrations``."""

    linted = True

    def complete(self, result: dict[str, Any], files: MigrationFiles) -> dict[str, Any]:
        """Add the SQL that was applied or, in check mode, would be, as a difference."""
        if self._task.diff and result.get("changed"):
            report = result["migrations"]
            done = [each["name"] for each in report["applied_now"]] or report["pending"]
            scripts = [files.scripts[name] for name in done]
            result["diff"] = [
                {"before_header": "not applied", "after_header": script.path, "before": "", "after": script.text}
                for script in scripts
            ]
        return result
