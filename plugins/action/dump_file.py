# SPDX-License-Identifier: GPL-3.0-or-later
"""See what a dump on the controller is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._backup import dump_file
from ansible_collections.slipway.deploy.plugins.module_utils._backup.script import Script
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        path = Path(self._task.args["path"]).expanduser().absolute()
        try:
            with dump_file.opened(path, path.name) as (found, stream):
                plain = dump_file.read_through(Script(stream, path.name)) if found.kind == "sql" else None
                expanded = stream.tell() if plain else found.size
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from error
        result["changed"] = False
        result["dump"] = {
            "path": str(path),
            "name": found.name,
            "kind": found.kind,
            "shown": found.shown,
            "size": found.size,
            "expanded": expanded,
            "version": found.version,
            "tables": plain.tables if plain else [],
            "rows": plain.rows if plain else None,
        }
        return result
