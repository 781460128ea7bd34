# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the migrations and the wanted schema on the controller for the module ``schema_change``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Migration, Payload
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.change import WANTED_NAME
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import from_task
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.progress import watched
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted.wanted import read


class ActionModule(ActionBase):
    """The action of ``schema_change``."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Read both, and call the module in one round trip."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        environment = {name: str(value) for name, value in (arguments.pop("environment", None) or {}).items()}
        directory = self._loader.path_dwim(arguments.get("directory") or ".")
        try:
            wanted = read(arguments.get("source") or {}, directory, environment)
        except SlipwayError as error:
            raise AnsibleActionFail(str(error)) from None
        arguments["_payload"] = self._migrations(arguments.get("path")).dump()
        arguments["_wanted"] = Payload.pack([Migration(WANTED_NAME, ())], {WANTED_NAME: wanted.script}).dump()
        arguments["_speaks"] = list(wanted.speaks)
        result.update(watched(self, task_vars, arguments))
        return result

    def _migrations(self, path: object) -> Payload:
        """The migrations; none where the directory is still to be made, or is empty."""
        there = Path(self._loader.path_dwim(str(path))) if path else None
        if there and (not there.exists() or (there.is_dir() and not any(each.is_dir() for each in there.iterdir()))):
            return Payload.pack([], {})
        return from_task(self._loader, path).payload
