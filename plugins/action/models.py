# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the models of a database to a file of the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.slipway.deploy.plugins.action.session import ActionModule as SessionAction
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import READ_ONLY
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.models import read_models
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.source_file import kept

display = Display()


class ActionModule(SessionAction):
    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = (task_vars or {})["hostvars"][(task_vars or {})["inventory_hostname"]]
        _checked, options = self.validate_argument_spec({**CONNECTION_SPEC, "path": {"type": "path", "required": True}})
        path = Path(self._loader.path_dwim(options["path"]))
        try:
            login = {name: options[name] for name in CONNECTION_SPEC}
            session = self.find(
                {"label": "", "access": READ_ONLY, "login": login, "options": {}}, variables, task_vars or {}
            )
            with session.reach() as settings:
                found = read_models(settings)
            result = kept(path, found.source, counted(found.tables, "model"), self._task.check_mode)
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from error
        for remark in found.remarks:
            display.warning(remark)
        about = {"path": str(path), "tables": found.tables, "remarks": list(found.remarks)}
        return {**result, "models": {**about, "current": result["current"]}}
