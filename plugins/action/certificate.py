# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller's side of the module ``certificate``: read and check it here, send it as one file."""

from __future__ import annotations

import datetime
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._certificate.check import check

display = Display()
LONGEST_PATH = 200
SPEC: dict[str, dict[str, Any]] = {
    "certificate": {"type": "str", "required": True},
    "key": {"type": "str", "required": True, "no_log": True},
    "domains": {"type": "list", "elements": "str", "required": True},
    "path": {"type": "path", "default": ""},
    "container": {"type": "str", "default": ""},
    "image": {"type": "str", "default": ""},
    "user": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _checked, options = self.validate_argument_spec(SPEC)
        now = datetime.datetime.now(datetime.UTC)
        try:
            certificate, key = (self.read(options[name], name) for name in ("certificate", "key"))
            pair = check(certificate, key, options["domains"], now)
        except SlipwayError as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(changed=False, actions=[])
        if options["path"]:
            sent = {name: options[name] for name in ("path", "container", "image", "user")}
            result = self._execute_module(module_args={**sent, "content": pair.content}, task_vars=task_vars)
            self._remove_tmp_path(self._connection._shell.tmpdir)
        elif pair.warning(now):
            display.warning(pair.warning(now))
        about = {"names": list(pair.names), "expires": pair.expires.isoformat(), "days": pair.days(now)}
        return {**result, "certificate": about}

    def read(self, given: str, what: str) -> str:
        """The text in PEM format that is given, or that of the file, which may be encrypted."""
        if "-----BEGIN " in given:
            return given
        # What was meant as a key's text and is none is not told.
        if len(given) > LONGEST_PATH or "\n" in given:
            raise SlipwayError(f"The {what} is neither a file's path nor a text in PEM format: give one of them.")
        try:
            return str(self._loader.get_text_file_contents(self._loader.path_dwim(given)))
        except AnsibleError as error:
            raise SlipwayError(
                f"The file {given} of the {what} can't be read on the controller: correct its path, or the password of "
                "its vault."
            ) from error
