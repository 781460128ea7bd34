#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``workers``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: workers
author: The Slipway contributors
short_description: Run the application's workers beside the release that serves
version_added: 0.1.0
description:
  - Starts workers like the release that serves, as containers with its image, environment, network, mounts and limits,
    or as processes with its environment in its directory, and stops and removes those of another release, or of
    processes that are wanted no longer.
  - A new worker has to run for two seconds before the old ones get their stop signal. One that does not is removed, the
    old ones run on, and the task fails with the end of its log.
  - A worker that has ended is started again.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Says what it would start and stop.
  diff_mode:
    support: none
    details: C(actions) says what was done.
  idempotent:
    support: full
options:
  processes:
    description:
      - "The workers that are to run, by the names of their processes, such as
        C({mailer: {command: [python, -m, shop.mailer], count: 2}}): C(command), the words of it; C(count), how many run
        on this host (1); C(exclusive), whether those of another release have to end before new ones start (false);
        C(stop_timeout) in place of O(stop_timeout)."
      - One with C(schedule) is no worker; see M(slipway.deploy.command_schedule).
      - Without any, all are stopped and removed.
    type: dict
    default: {}
  stop_timeout:
    description: Seconds that a worker has to finish what it does before it is killed.
    type: int
    default: 40
  label:
    description: Value of the label C(slipway.worker) of the containers, and the first part of their names.
    type: str
    default: ""
  container:
    description: The container of the release that serves. Without it the workers are processes.
    type: str
    default: ""
  directory:
    description: Slipway's state directory on the host.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Run the workers
  slipway.deploy.workers:
    processes:
      mailer:
        command: [python, -m, shop.mailer]
        count: 2
    label: shop-test
    container: shop-test-backend-9b0d44c1f2aa
    directory: /var/lib/slipway/shop/test
"""

RETURN = r"""
actions:
  description: What was started and stopped, or would be in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

import os
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import Service, alive
from ansible_collections.slipway.deploy.plugins.module_utils._release.worker_containers import Containers
from ansible_collections.slipway.deploy.plugins.module_utils._release.worker_processes import Processes
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import (
    Runner,
    changes,
    make,
    parse,
    problems,
)


def runner(params: dict[str, Any]) -> tuple[Runner, str]:
    """What the workers run in, and what stands for the release that serves: '' where none does."""
    if params["label"]:
        return Containers(params["label"], params["container"]), params["container"]
    state = Service(os.path.join(params["directory"], "backend")).state
    serving = state.app if alive(state.app) else None
    return Processes(os.path.join(params["directory"], "workers"), serving), state.digest if serving else ""


def note(directory: str, wanted: bool) -> None:
    """Leave a directory where workers run, by which a later deploy knows that there are some."""
    if wanted:
        os.makedirs(directory, 0o700, exist_ok=True)
    elif os.path.isdir(directory):
        shutil.rmtree(directory)


def work(module: AnsibleModule) -> dict[str, Any]:
    """Find what has to change, and change it, one process after the other."""
    wrong = problems(module.params["processes"])
    if wrong:
        raise SlipwayError(wrong[0])
    given = parse(module.params["processes"], module.params["stop_timeout"])
    wanted = [process for process in given if not process.schedule]
    within, like = runner(module.params)
    if wanted and not like and not module.check_mode:
        raise SlipwayError("No release runs here, so that there is nothing to run workers with: deploy first.")
    found = changes(wanted, like, within.there())
    if not module.check_mode:
        for change in found:
            make(change, within)
        note(os.path.join(module.params["directory"], "workers"), bool(wanted))
    return {"changed": bool(found), "actions": [sentence for change in found for sentence in change.sentences]}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "processes": {"type": "dict", "default": {}},
            "stop_timeout": {"type": "int", "default": 40},
            "label": {"type": "str", "default": ""},
            "container": {"type": "str", "default": ""},
            "directory": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
