# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's side of the module ``schema_sql``: write what pg_dump says on the host to a file here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.progress import watched
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.schema_sql import tidied
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.source_file import kept


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(watched(self, task_vars))
        if result.get("failed"):
            return result
        path = Path(self._loader.path_dwim(self._task.args["path"]))
        try:
            result["sql"] = tidied(result["sql"])
            result.update(kept(path, result["sql"], "the schema", self._task.check_mode))
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from error
        return result
