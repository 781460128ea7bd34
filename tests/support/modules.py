# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one module or action of the collection and gives its result, which must not give a secret away."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

ROOT = Path(__file__).parents[2]
MODULES = "ansible_collections.slipway.deploy.plugins.modules"


def run_module(name: str, arguments: Mapping[str, object], *, check: bool = False) -> dict[str, Any]:
    """Run a module inside this process, as on a host with no action plugin before it."""
    module = importlib.import_module(f"{MODULES}.{name}")
    output = io.StringIO()
    options = {**arguments, "_ansible_check_mode": check}
    with pytest.MonkeyPatch.context() as host, patch_module_args(options), contextlib.redirect_stdout(output):
        # A test that imported Ansible's controller made this process one, whose warnings would go to the terminal.
        host.setattr(_internal, "is_controller", False)
        host.setattr(warnings, "_global_warnings", {})  # those of the modules that ran here before
        with pytest.raises(SystemExit):
            module.main()
    return result(output.getvalue(), arguments)


def run_module_as(command: Sequence[str], name: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """Run a module in a process of its own that ``command``, a prefix such as setpriv, starts."""
    done = subprocess.run(
        [*command, sys.executable, "-m", f"{MODULES}.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": dict(arguments)}),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections"), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    return result(done.stdout, arguments)


def run_ansible(name: str, arguments: Mapping[str, object], home: Path, *flags: str) -> dict[str, Any]:
    """Run one task on the local host through Ansible, action plugin and all."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible")), "localhost", "--connection", "local",
            "--module-name", name, "--args", json.dumps(arguments),
            "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}), *flags,
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert " => {" in done.stdout, done.stdout + done.stderr
    return result("{" + done.stdout.partition(" => {")[2], arguments)


def result(output: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """The result in a module's output."""
    for name, value in arguments.items():
        assert not name.endswith("_password") or not value or str(value) not in output, f"{name} is in the output"
    found: dict[str, Any] = json.loads(output[output.index("{") : output.rindex("}") + 1])
    return found
