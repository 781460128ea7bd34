# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a new migration into its directory on the controller."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.lint import lint
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import NotApplicableError, parse
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted.new_file import (
    check_name,
    existing,
    stamped,
    text,
    write,
)

_NOTHING_YET = "-- Write the statements of this migration here.\n"


class ActionModule(ActionBase):
    """The action of ``new_migration``: no host is asked."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the name, and write the files unless there is nothing to write."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        lines = {"type": "list", "elements": "str", "default": []}
        options: dict[str, Any] = {
            "path": {"type": "str", "required": True},
            "name": {"type": "str", "default": ""},
            "statements": lines,
            "down": lines,
            "no_down": {"type": "str", "default": ""},
            "left": lines,
            "remarks": lines,
            "source": {"type": "str", "default": ""},
            "empty": {"type": "bool", "default": False},
            "linted": {"type": "bool", "default": True},
        }
        _, given = self.validate_argument_spec(options)
        try:
            return {**result, **self._work(given)}
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from None
        except NotApplicableError as error:
            raise AnsibleActionFail(f"What was derived is no SQL, so that nothing was written: {error}") from None

    def _work(self, given: dict[str, Any]) -> dict[str, Any]:
        path = self._loader.path_dwim(given["path"])
        names = existing(path)
        check_name(given["name"], names)
        if not (given["statements"] or given["empty"]):
            return {"changed": False, "migration": "", "warnings": given["left"]}
        name = stamped(given["name"], names, datetime.now(UTC).replace(tzinfo=None))
        files = _files(given)
        shown = os.path.join(given["path"], name)
        scripts = {file: parse(content.encode(), f"{shown}/{file}") for file, content in files.items()}
        found = lint(["migration.sql"], scripts)["migration.sql"].lint if given["linted"] else ()
        if not self._task.check_mode:
            write(path, name, files)
        done = "Would write" if self._task.check_mode else "Wrote"
        return {
            "changed": True,
            "migration": name,
            "actions": [f"{done} {shown}/{file}." for file in files],
            "warnings": [*given["remarks"], *given["left"], *(f"{e.place}: {e.message} ({e.rule})" for e in found)],
            "diff": [
                {"before": "", "after": content, "before_header": "/dev/null", "after_header": f"{name}/{file}"}
                for file, content in files.items()
            ],
        }


def _files(given: dict[str, Any]) -> dict[str, str]:
    """The files of the migration, by their names."""
    if given["empty"]:
        return {"migration.sql": _NOTHING_YET}
    head = [f"Derived from {given['source']}." if given["source"] else ""]
    if given["remarks"]:
        head += ["To be known before it is applied:", *(f"- {each}" for each in given["remarks"])]
    if given["left"]:
        head += ["Not in here, since it can't be derived:", *(f"- {each}" for each in given["left"])]
    if given["no_down"]:
        head.append(f"There is no down.sql: {given['no_down']}")
    files = {"migration.sql": text([each for each in head if each], given["statements"])}
    if given["down"]:
        files["down.sql"] = text([], given["down"])
    return files
