# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions ``image`` and ``tree`` share: ask the host for a digest, send the archive only where it is new."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, sentence
from ansible_collections.slipway.deploy.plugins.plugin_utils._release import tree as trees

display = Display()


class TreeAction(ActionBase):
    """The module is called once with the digest and, when it answers ``missing``, once more with the archive."""

    # The task's options that also decide the outcome, next to the files.
    inputs: tuple[str, ...] = ()

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        options = dict(self._task.args)
        if not options.get("src"):
            raise AnsibleActionFail("src is missing: name the directory on the controller.")
        root = Path(self._loader.path_dwim(options["src"]))
        extra = {path: Path(self._loader.path_dwim(name)) for path, name in (options.get("extra_files") or {}).items()}
        if options.get("dockerfile"):  # needed even where .dockerignore leaves it out
            extra.setdefault(options["dockerfile"], root / options["dockerfile"])
        private = [Path(self._loader.path_dwim(name)) for name in options.get("private") or []]
        try:
            tree = trees.read(root, extra, options.get("include") or [], private)
            inputs = {name: options[name] for name in self.inputs if options.get(name)}
            options["digest"] = trees.digest(tree.entries, **inputs)
        except (SlipwayError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from error

        if tree.warning:
            display.warning(tree.warning)
        result = self._call(options, task_vars)
        if result.pop("missing", False) and not self._task.check_mode:
            result = self._call({**options, "archive": self._send(tree.entries)}, task_vars)
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _call(self, options: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module_args=options, task_vars=task_vars)
        return result

    def _send(self, tree: list[trees.Entry]) -> str:
        """Transfer the archive as one file; return its path on the host, in the task's temporary directory there."""
        if not self._connection._shell.tmpdir:
            self._make_tmp_path()
        remote: str = self._connection._shell.join_path(self._connection._shell.tmpdir, "tree.tar.gz")
        with tempfile.NamedTemporaryFile(prefix="slipway-", suffix=".tar.gz") as local:
            trees.write_archive(tree, local)
            local.flush()
            self._transfer_file(local.name, remote)
        self._fixup_perms2((self._connection._shell.tmpdir, remote), execute=False)
        return remote
