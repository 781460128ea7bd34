#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_schedule
author: The Slipway contributors
short_description: Backups and drills on a schedule, without a controller
description:
  - Puts a program on the host, which is this collection's own core, and has a timer of systemd start it, or cron where
    systemd does not run or the user is not root. It takes a backup, proves it, sends it and removes what is kept no
    more, exactly as M(slipway.deploy.backup) does; or it makes a drill, which restores the newest backup, the one that
    is away where there is O(offsite), compares it with its manifest, drops it, and writes how it went to
    C(offsite/drill.json) in O(directory).
  - The program holds the lock of O(state_directory) meanwhile, and waits for it as long as O(wait) says. Each run is
    in the ledger there.
  - For cron it writes C(/etc/cron.d/NAME) as root, else two lines in the user's own crontab; what the last run said is
    then in C(backup.log) and C(drill.log) in O(files). A time at which the host was off is not made up for, as it is by
    systemd. Cron is told times of systemd.time(7) too, but for seconds, years, time zones, and days both of the week
    and of the month.
  - C(absent) stops both timers and takes them, the program and its settings away. Backups stay.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
  - slipway.deploy.client_programs
  - slipway.deploy.offsite
  - slipway.deploy.take_backup
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
  state:
    description: Whether there is a schedule.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the service and the timer, or of the entry of cron; those of the drill have C(-drill) after it.
    type: str
    required: true
  files:
    description: Directory for the program and its settings (0600), of which the first has the passwords in it.
    type: path
    required: true
  schedule:
    description: When a backup is taken, as systemd.time(7) says it, such as V(daily) or V(*-*-* 03:00:00).
    type: str
    default: ""
  drill_schedule:
    description: When a drill is made; empty for never.
    type: str
    default: ""
  ping_url:
    description:
      - A URL of a dead man's switch. It is asked after each backup that is proved (and sent, with O(offsite)), and with
        C(/fail) after it, and the reason in the body, after each run that failed.
    type: str
    default: ""
  wait:
    description: Seconds to wait for a run that holds the lock.
    type: int
    default: 3600
  state_directory:
    description: Directory of the lock and the ledger.
    type: path
    required: true
requirements:
  - systemd and root, or a cron that runs; psycopg2 for the Python that runs this module
seealso:
  - module: slipway.deploy.backup
"""

EXAMPLES = r"""
- name: Back the database up every night
  slipway.deploy.backup_schedule:
    login_unix_socket: /var/lib/slipway/shop/prod/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: shop
    container: shop-prod-postgres
    name: shop-prod-backup
    files: /var/lib/slipway/shop/prod/schedule
    schedule: "*-*-* 03:00:00"
    drill_schedule: weekly
    state_directory: /var/lib/slipway/shop/prod
    directory: /var/lib/slipway/shop/prod/backups
    application: shop
    environment_name: prod
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

import sys
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._backup import scheduled
from ansible_collections.slipway.deploy.plugins.module_utils._backup.offsite import OFFSITE_SPEC, Offsite
from ansible_collections.slipway.deploy.plugins.module_utils._backup.prune import KEEP_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._backup.take import TAKE_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._host.program import Files, packed, settings
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import timers
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import CLIENT_SPEC
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import CONNECTION_SPEC

SPEC: dict[str, dict[str, Any]] = {
    **CONNECTION_SPEC,
    **CLIENT_SPEC,
    **OFFSITE_SPEC,
    **KEEP_SPEC,
    **TAKE_SPEC,
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "required": True},
    "files": {"type": "path", "required": True},
    "schedule": {"type": "str", "default": ""},
    "drill_schedule": {"type": "str", "default": ""},
    "ping_url": {"type": "str", "default": ""},
    "wait": {"type": "int", "default": 3600},
    "state_directory": {"type": "path", "required": True},
    "directory": {"type": "path", "required": True},
    "application": {"type": "str", "required": True},
    "environment_name": {"type": "str", "required": True},
    "scratch_db": {"type": "str"},
}


PROGRAM, SETTINGS = "backup.pyz", "settings.json"


def started(params: dict[str, Any], action: str) -> timers.Command:
    """What is started for a backup or a drill."""
    files = Path(params["files"])
    name = params["name"] + ("" if action == "backup" else f"-{action}")
    what = f"{action.capitalize()} of {params['application']}, {params['environment_name']}"
    arguments = (sys.executable, f"{files}/{PROGRAM}", action, f"{files}/{SETTINGS}")
    return timers.Command(name, what, arguments, files / f"{action}.log")


def program(params: dict[str, Any]) -> dict[Path, bytes]:
    """The program and its settings, by their files."""
    told = {name: params[name] for name in SPEC if name not in ("state", "schedule", "drill_schedule")}
    told.update(unprovable="", keep_scratch=False)
    files = Path(params["files"])
    return {
        files / PROGRAM: packed(scheduled.__name__),
        files / SETTINGS: settings(told),
    }


def work(module: AnsibleModule) -> dict[str, Any]:
    params, files = module.params, Path(module.params["files"])
    times = {"backup": params["schedule"], "drill": params["drill_schedule"]}
    wanted: list[tuple[timers.Timer, str]] = []
    gone: list[timers.Timer] = []
    for action, when in times.items():
        here, other = timers.timers(started(params, action))
        keep = bool(when) and params["state"] == "present"
        wanted += [(here, when)] if keep else []
        gone += [each for each in (here, other) if each.exists() and not (keep and each is here)]
    wants = Files(files, {})
    if wanted:
        timers.insist("A schedule of backups")
        Offsite.from_params(params)
        wants = Files(files, program(params))
    schedule = timers.Schedule(wants, wanted, gone)
    actions, diff = schedule.actions, schedule.diff
    if actions and not module.check_mode:
        schedule.apply()
    return {"changed": bool(actions), "actions": actions, "diff": diff}


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True, mutually_exclusive=[("bindir", "container")]), work)


if __name__ == "__main__":
    main()
