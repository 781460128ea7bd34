#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``command_schedule``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: command_schedule
author: The Slipway contributors
short_description: Run commands of the application on a schedule, each time on one of its hosts
version_added: 0.1.0
description:
  - Puts a program on the host, which is this collection's own core, and for each command that has a schedule a timer of
    systemd that starts it, or an entry of cron where systemd does not run or the user is not root.
  - On time every host starts the program, and one runs the command, the first to note that time in the table
    C(slipway.command_runs), which M(slipway.deploy.command_runs) makes. While a command runs, an advisory lock of
    PostgreSQL keeps others of its name from beginning; a time that comes meanwhile is left out. Times are those of the
    host's time zone, which is to be the same on all hosts.
  - The command runs like the release that serves at that moment, in a container with its image, environment, network,
    mounts and limits, or as a process with its environment in its directory. It outlives the switch to another release.
  - What it writes is the log of its container, C(LABEL-command-NAME), which stays until the next run on that host, or
    the file C(NAME-scheduled-runs.log).
  - The timers of commands that are wanted no longer are taken away. One that is at work gets its stop signal, and is
    killed after O(stop_timeout).
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Returns what would be done and does nothing.
  diff_mode:
    support: full
    details: Shows the units, or the entries of cron.
  idempotent:
    support: full
options:
  processes:
    description:
      - "As for M(slipway.deploy.workers). Those that have C(schedule) are the commands, such as C({cleanup: {command:
        [python, -m, shop.cleanup], schedule: '*-*-* 03:00'}}): a time of systemd.time(7), without seconds, years, time
        zones, and days both of the week and of the month, so that cron can be told as well."
      - Without any, all that was scheduled is taken away.
    type: dict
    default: {}
  stop_timeout:
    description: Seconds that a command has to end when it is told to, where it does not say.
    type: int
    default: 40
  name:
    description: First part of the names of the timers, C(NAME-command-COMMAND).
    type: str
    required: true
  host:
    description: What this host is called in the table of runs.
    type: str
    required: true
  label:
    description: First part of the names of the containers, and their label C(slipway.schedule). Empty for processes.
    type: str
    default: ""
  backend:
    description: Value of the label C(slipway.backend) of the release's containers.
    type: str
    default: ""
  config:
    description: The configuration of nginx, which says which of them serves.
    type: path
    default: ""
  directory:
    description: Slipway's state directory on the host. The program and its settings (0600) are in C(commands) there.
    type: path
    required: true
requirements:
  - systemd and root, or a cron that runs; psycopg2 for the Python that runs this module
seealso:
  - module: slipway.deploy.workers
  - module: slipway.deploy.command_runs
"""

EXAMPLES = r"""
- name: Clean up every night
  slipway.deploy.command_schedule:
    login_unix_socket: /var/lib/slipway/shop/test/run
    login_user: shop_app
    login_password: "{{ application_password }}"
    login_db: shop
    processes:
      cleanup:
        command: [python, -m, shop.cleanup]
        schedule: "*-*-* 03:00"
    name: shop-test
    host: "{{ inventory_hostname }}"
    label: shop-test
    backend: shop-test-backend
    directory: /var/lib/slipway/shop/test
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

import json
import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._host.program import Files, packed, settings
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import timers
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    Server,
    connect,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release import scheduled_command
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import Process, parse, problems

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    "processes": {"type": "dict", "default": {}},
    "stop_timeout": {"type": "int", "default": 40},
    "name": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "label": {"type": "str", "default": ""},
    "backend": {"type": "str", "default": ""},
    "config": {"type": "path", "default": ""},
    "directory": {"type": "path", "required": True},
}
PROGRAM, SETTINGS = "command.pyz", "settings.json"


def started(params: dict[str, Any], files: Path, name: str) -> timers.Command:
    """What is started for a command."""
    arguments = (sys.executable, f"{files}/{PROGRAM}", name, f"{files}/{SETTINGS}")
    what = f"Command {name} of {params['name']}"
    return timers.Command(f"{params['name']}-command-{name}", what, arguments, files / f"{name}.log", accuracy="1s")


def program(params: dict[str, Any], files: Path, commands: list[Process]) -> dict[Path, bytes]:
    """The program and its settings, by their files."""
    told = {name: params[name] for name in SPEC if name not in ("name", "processes")}
    told |= {"files": str(files), "processes": {each.name: params["processes"][each.name] for each in commands}}
    return {files / PROGRAM: packed(scheduled_command.__name__), files / SETTINGS: settings(told)}


def work(module: AnsibleModule) -> dict[str, Any]:
    """Find what has to change, and change it."""
    params, files = module.params, Path(module.params["directory"]) / "commands"
    wrong = problems(params["processes"])
    if wrong:
        raise SlipwayError(wrong[0])
    commands = [each for each in parse(params["processes"], params["stop_timeout"]) if each.schedule]
    before = json.loads(read(str(files / SETTINGS)) or '{"processes": {}}')["processes"]
    names = {each.name for each in commands}
    unwanted = parse({name: each for name, each in before.items() if name not in names}, params["stop_timeout"])
    timed = [(timers.timers(started(params, files, each.name)), each.schedule) for each in commands]
    wanted = [(here, when) for (here, _other), when in timed]
    gone = [other for (_here, other), _when in timed if other.exists()]
    for each in unwanted:
        gone += [timer for timer in timers.timers(started(params, files, each.name)) if timer.exists()]
    wants = Files(files, {})
    if commands:
        timers.insist("A schedule of commands")
        wants = Files(files, program(params, files, commands))
        if not module.check_mode:
            connect(Server.from_params(params)).close()  # as the program does, which nobody sees fail
    schedule = timers.Schedule(wants, wanted, gone, [f"Removed command {each.name}." for each in unwanted])
    actions, diff = schedule.actions, schedule.diff

    def stop() -> None:
        where = scheduled_command.place({**params, "files": str(files)})
        for each in unwanted:
            where.remove(each.name, each.stop_timeout)

    if actions and not module.check_mode:
        schedule.apply(stop)
    return {"changed": bool(actions), "actions": actions, "diff": diff}


def main() -> None:
    """Entry point."""
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
