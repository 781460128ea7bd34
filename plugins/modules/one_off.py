#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``one_off``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: one_off
author: The Slipway contributors
short_description: Prepare a command that runs once as the release that serves does
version_added: 0.1.0
description:
  - Finds the release that serves, and writes a program that runs a command with the image, environment, network and
    limits of its container, or as a process with its environment in its directory. The file is its owner's alone, since
    the environment holds secrets, and deletes itself when it is run, by M(slipway.deploy.foreground) say.
  - Fails where no release runs, and where it has no such command.
  - Notes the command in the ledger, with who runs it, as started; how it ends is not known there.
  - The action plugin reads the command as it was typed, and gives what the controller runs so that it runs on the host.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Finds the release and the command, and writes nothing.
  diff_mode:
    support: none
    details: Does not know what the command does.
  idempotent:
    support: none
    details: Prepares the command each time.
options:
  command:
    description:
      - The command, as a text that is divided as a shell divides it, or as a list of words. No shell runs it; for pipes
        and variables, that is C(sh -c '...').
    type: raw
    required: true
  typed_as:
    description:
      - Name of the extra variable in which it was typed, of which a blank outside of quotes ends the value that Ansible
        gives.
    type: str
    default: ""
  directory:
    description: State directory on the host.
    type: path
    required: true
  label:
    description:
      - Value of the label C(slipway.backend) of the release's containers. Where there is none it is a process, with its
        state below O(directory).
    type: str
    default: ""
  name:
    description: What the command's container is named after, and value of its label C(slipway.run).
    type: str
    default: ""
  application:
    description: Name of the application.
    type: str
    required: true
  environment_name:
    description: Name of the environment.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Prepare the command
  slipway.deploy.one_off:
    command: python manage.py check
    directory: /var/lib/slipway/shop/test
    label: shop-test-backend
    name: shop-test
    application: shop
    environment_name: test
  register: prepared

- name: Run it
  slipway.deploy.foreground:
    argv: "{{ prepared.argv }}"
"""

RETURN = r"""
argv:
  description: What the controller runs so that the command runs on the host; on a terminal, with one.
  type: list
  elements: str
  returned: outside check mode
command:
  description: The command, with the release's secrets masked.
  type: str
  returned: success
where:
  description: In what it runs, in words.
  type: str
  returned: success
"""

import datetime
import os
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked, of_environment
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import OneOff
from ansible_collections.slipway.deploy.plugins.module_utils._release.serving import container_of, process_of
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger

NOTHING_RUNS = "No release runs here, so that there is nothing to run the command in: deploy first."
FORGOTTEN = 3600  # seconds after which a program that nobody ran is deleted


def in_container(argv: list[str], label: str, name: str) -> tuple[OneOff, str, Mapping[str, str]]:
    """A command in a container like the release's."""
    serving = container_of(label)
    if serving is None:
        raise SlipwayError(NOTHING_RUNS)
    status, _output = docker.run("exec", serving.name, "sh", "-c", 'command -v -- "$1"', "sh", argv[0])
    if status in (1, 127) and docker.run("exec", serving.name, "sh", "-c", "true")[0] == 0:
        raise SlipwayError(
            f"There is no command {argv[0]!r} in the image of {serving.name}: correct it. No shell runs it; for pipes "
            "and variables, that is sh -c '...'."
        )
    where = f"a container like {serving.name}" + (f", release {serving.release}" if serving.release else "")
    return serving.one_off(argv, name, secrets.token_hex(4)), where, serving.environment


def as_process(argv: list[str], directory: str) -> tuple[OneOff, str, Mapping[str, str]]:
    """A command with the environment of the process that serves, in its directory."""
    serving = process_of(os.path.join(directory, "backend"))
    if serving is None:
        raise SlipwayError(NOTHING_RUNS)
    process, spec = serving
    home, environment = spec.cwd, spec.env
    program = os.path.join(home, argv[0]) if "/" in argv[0] else argv[0]
    if not shutil.which(program, path=environment.get("PATH", os.defpath)):
        raise SlipwayError(
            f"There is no command {argv[0]!r} for the release in {home}: correct it. No shell runs it; for pipes and "
            "variables, that is sh -c '...'."
        )
    return OneOff(argv, environment, home), f"{home}, with the environment of process {process.pid}", environment


def prepare(directory: Path, one_off: OneOff) -> Path:
    """Write the program, and delete those that nobody ran."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in directory.glob("*.py"):
        if old.stat().st_mtime < time.time() - FORGOTTEN:
            old.unlink()
    file = directory / f"{secrets.token_hex(8)}.py"
    replace_file(str(file), one_off.program())
    return file


def work(module: AnsibleModule) -> dict[str, Any]:
    """Find the release, prepare the command, note it."""
    params = module.params
    argv: list[str] = params["argv"]
    if params["label"]:
        one_off, where, environment = in_container(argv, params["label"], params["name"])
    else:
        one_off, where, environment = as_process(argv, params["directory"])
    hidden = of_environment(environment)
    module.no_log_values |= hidden
    command = masked(shlex.join(argv), hidden)
    result = {"changed": True, "command": command, "where": where}
    if module.check_mode:
        return {**result, "actions": [f"Would run {command} in {where}."]}
    file = prepare(Path(params["directory"]) / "one-off", one_off)
    ledger = Ledger(Path(params["directory"]))
    serving = ledger.serving()
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    ledger.append(
        {
            "format": 1,
            "application": params["application"],
            "environment": params["environment_name"],
            "verb": "run",
            "release": serving.get("release", ""),
            "started": now,
            "finished": now,
            "status": "started",
            "phases": [],
            "facts": {"command": command, "where": where},
            "run": params["run"],
        }
    )
    return {**result, "argv": [sys.executable, str(file)], "actions": [f"Prepared {command} in {where}."]}


def main() -> None:
    """Entry point."""
    options: dict[str, dict[str, Any]] = {
        # From the action plugin, in place of the command.
        "argv": {"type": "list", "elements": "str", "required": True},
        "run": {"type": "dict", "required": True},
        "directory": {"type": "path", "required": True},
        "label": {"type": "str", "default": ""},
        "name": {"type": "str", "default": ""},
        "application": {"type": "str", "required": True},
        "environment_name": {"type": "str", "required": True},
    }
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), work, bookkeeping=True)


if __name__ == "__main__":
    main()
