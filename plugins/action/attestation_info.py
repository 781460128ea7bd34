# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the records of runs with what was signed, on the controller."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.attestation import verified


class ActionModule(ActionBase):
    """The action of ``attestation_info``."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        path = {"type": "path", "required": True}
        _checked, options = self.validate_argument_spec({"directory": path, "signers": path})
        try:
            found = verified(Path(options["directory"]), Path(options["signers"]))
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from error
        return {
            "changed": False,
            "attestations": [asdict(each) for each in found],
            "problems": [f"The record {each.name} {each.problem}." for each in found if each.problem],
        }
