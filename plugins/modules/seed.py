#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: seed
author: The Slipway contributors
short_description: Run the application's seed command, with secrets in its environment
description:
  - Runs a command once and waits until it ends. Its environment is handed over directly, so that no process list shows
    the secrets in it, as it would with a task's C(environment).
  - A failure shows the end of the command's output. Values of O(env), and the password of a URL in it, are
    masked there.
  - Whether there is anything to seed is for the caller to know.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Does not run the command.
  diff_mode:
    support: none
    details: Does not know what the command writes.
  idempotent:
    support: none
    details: Runs the command each time.
options:
  argv:
    description: The command and its arguments.
    type: list
    elements: str
    required: true
  env:
    description:
      - Environment of the command. Besides it the command inherits C(HOME), C(LANG), C(LC_ALL), C(LOGNAME), C(PATH),
        C(TMPDIR), C(TZ) and C(USER), as does a release that M(slipway.deploy.process) runs.
    type: dict
    default: {}
  cwd:
    description: Directory in which the command runs; by default the one in which Ansible works.
    type: path
"""

EXAMPLES = r"""
- name: Seed
  slipway.deploy.seed:
    argv: [/home/me/shop/.venv/bin/python, -m, shop.seed]
    env:
      DATABASE_URL: "{{ database_url }}"
"""

RETURN = r"""
actions:
  description: What was done, one sentence each.
  type: list
  elements: str
  returned: success
"""

import subprocess
from typing import Any
from urllib.parse import unquote, urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._fence import mark
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._process_host import inherited

LINES = 30


def url_passwords(value: str) -> set[str]:
    """The password in a URL, as it stands there and as it is meant; nothing where there is none."""
    try:
        password = urlsplit(value).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()


def work(module: AnsibleModule) -> dict[str, Any]:
    argv: list[str] = module.params["argv"]
    env = {name: str(value) for name, value in module.params["env"].items()}
    for value in env.values():
        module.no_log_values |= url_passwords(value)
    if not module.check_mode:
        command = " ".join(argv)
        try:
            done = subprocess.run(
                argv,
                env={**inherited(), **mark(), **env},
                cwd=module.params["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except OSError as error:
            raise SlipwayError(f"The seed command {command} can't be started: {plain(error)}; correct it.") from error
        if done.returncode:
            output = done.stdout.decode(errors="replace").splitlines()[-LINES:]
            raise SlipwayError(
                f"The seed command {command} ended with {done.returncode}; correct what the end of its output shows:\n"
                + "\n".join(output)
            )
    return {"changed": True, "actions": [f"Ran {argv[0]}."]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "argv": {"type": "list", "elements": "str", "required": True},
            "env": {"type": "dict", "default": {}, "no_log": True},
            "cwd": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
