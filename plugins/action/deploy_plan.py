# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes down what a deploy is going to do, and holds an approved plan against it, on the controller alone."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import from_task
from ansible_collections.slipway.deploy.plugins.plugin_utils._run import plan
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.revision import revision

PLANNED: dict[str, dict[str, Any]] = {
    "verb": {"type": "str", "required": True},
    "application": {"type": "str", "required": True},
    "environment": {"type": "str", "required": True},
    "release": {"type": "str", "required": True},
    "source": {"type": "str", "default": ""},
    "images": {"type": "dict", "default": {}},
    "migrations": {"type": "str", "required": True},
    "server": {"type": "dict", "default": {}},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plan": {"type": "str", "default": ""},
    "approved": {"type": "str", "default": ""},
    "planned": {"type": "dict", "required": True, "options": PLANNED},
    "variables": {"type": "list", "elements": "str", "default": []},
    "secrets": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    """``server`` is what it says: ``serving``, and ``pending``, null for a new database; empty before it is asked."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(OPTIONS)
        self.insist(options)
        now = self.planned(options, task_vars or {})
        said = ""
        try:
            if options["approved"]:
                path = Path(self._loader.path_dwim(options["approved"]))
                differing = plan.differences(plan.read(path), now)
                if differing:
                    raise AnsibleActionFail(
                        f"This is not what was approved in {path}: {'; '.join(differing)}. So this run stops here: "
                        f"have it approved anew, from --check -e plan={path}."
                    )
                said = f"as approved in {path}"
            if options["plan"] and options["planned"]["server"]:
                path = Path(self._loader.path_dwim(options["plan"]))
                plan.write(path, now)
                said = f"plan written to {path}"
        except SlipwayError as error:
            raise AnsibleActionFail(str(error)) from error
        return {"changed": False, "plan": now, "approval": said if options["planned"]["server"] else ""}

    def insist(self, options: dict[str, Any]) -> None:
        """Stop where a plan would mean nothing."""
        if (verb := options["planned"]["verb"]) != "deploy":
            named = "approved" if options["approved"] else "plan"
            raise AnsibleActionFail(f"{named} is for deploy.yml alone and means nothing to {verb}: run without it.")
        if options["plan"] and not self._task.check_mode:
            raise AnsibleActionFail(
                "A plan is made by a run that changes nothing: add --check, or name one that was approved with "
                "-e approved=FILE."
            )

    def planned(self, options: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """What this run is going to do, as far as it is known."""
        planned = options["planned"]
        files = from_task(self._loader, planned["migrations"])
        return {
            **{name: planned[name] for name in ("application", "environment", "release", "images")},
            "by": getpass.getuser(),
            "revision": revision(planned["source"]) if planned["source"] else "",
            "hosts": {group: list(variables["groups"].get(group, [])) for group in ("database", "backend")},
            "migrations": {each.name: (each.checksums or ("",))[0] for each in files.migrations},
            "variables": plan.digests(variables, options["variables"], options["secrets"]),
            **planned["server"],
        }
