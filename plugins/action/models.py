# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the models of a database to a file of the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.models import read_models
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.source_file import kept

display = Display()


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec({**CONNECTION_SPEC, "path": {"type": "path", "required": True}})
        path = Path(self._loader.path_dwim(options["path"]))
        try:
            found = read_models(Server.from_params(options))
            result = kept(path, found.source, self._task.check_mode)
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from error
        for remark in found.remarks:
            display.warning(remark)
        about = {"path": str(path), "tables": found.tables, "remarks": list(found.remarks)}
        actions = [f"Wrote {counted(found.tables, 'model')} to {path}."] if result["changed"] else []
        return {**result, "actions": actions, "models": {**about, "current": result["current"]}}
