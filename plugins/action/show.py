# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what was found to the operator, or hand it to a program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import plain
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.table import Column, table

TABLE, JSON = "table", "json"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _requires_connection = False
    _VALID_ARGS = frozenset(("title", "columns", "rows", "lines", "data", "text"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = self._task.args
        output = str(self._templar.template((task_vars or {}).get("output", TABLE)))
        columns = [Column.parse(column) for column in arguments.get("columns") or []]
        rows = [
            [column.cell(row) for column in columns] if isinstance(row, Mapping) else list(row)
            for row in arguments.get("rows") or []
        ]
        title, lines, texts = arguments.get("title", ""), arguments.get("lines") or [], arguments.get("text") or {}
        if output == TABLE:
            drawn = [plain(line) for line in table(columns, rows)] if rows else []
            return {
                "changed": False,
                "msg": [*title.splitlines(), *drawn, *lines],
                "shown": {"title": title, "columns": arguments.get("columns") or [], "rows": rows, "lines": lines},
                "_ansible_verbose_always": True,
            }
        if output == JSON:
            data = arguments.get("data")
            if data is None:
                data = [dict(zip((column.name for column in columns), row, strict=True)) for row in rows]
            text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
        elif output in texts:
            text = str(texts[output]).rstrip("\n")
        else:
            known = ", ".join([TABLE, JSON, *texts])
            raise AnsibleActionFail(f"This is not shown as {output}: set -e output= to one of {known}.")
        return {"changed": False, "msg": text.splitlines(), "output": text, "_ansible_verbose_always": True}
