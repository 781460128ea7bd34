# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the models of a database to a file of the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC, Server
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted
from ansible_collections.slipway.deploy.plugins.plugin_utils._schema.models import read_models

display = Display()
MODE = 0o644


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec({**CONNECTION_SPEC, "path": {"type": "path", "required": True}})
        path = Path(self._loader.path_dwim(options["path"]))
        try:
            found = read_models(Server.from_params(options))
            before = path.read_text() if path.exists() else ""
            changed = before != found.source
            if changed and not self._task.check_mode:
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(str(path), found.source, MODE)
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from error
        for remark in found.remarks:
            display.warning(remark)
        models = counted(found.tables, "model")
        return {
            "changed": changed,
            "actions": [f"Wrote {models} to {path}."] if changed else [],
            "models": {
                "path": str(path),
                "tables": found.tables,
                "current": not changed,
                "remarks": list(found.remarks),
            },
            "diff": {
                "before_header": str(path),
                "after_header": str(path),
                "before": before,
                "after": found.source,
            },
        }
