#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: deployment
author: The Slipway contributors
short_description: The deploy lock and the ledger of deployments
description:
  - Takes and releases the lock that keeps two runs apart, and appends the record of a run to the ledger.
  - The lock names its holder. A lock left by a dead process of this very controller is taken over; any other is
    refused with the holder's name.
  - A lock is neither taken nor broken where the state directory is another environment's.
  - A run is in charge of a host under a number that only grows. What an earlier run left at work there is ended before
    the number is raised, with SIGTERM and after 10 seconds with SIGKILL. The task fails and names the process when it
    has not ended after 30 seconds. Modules of the collection that are told the number (environment variable
    C(SLIPWAY_FENCE), set by role deployment) refuse to work under an earlier one.
  - Who runs is found out on the controller by the action plugin of the same name.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Refuses a lock that somebody holds, and writes nothing.
  diff_mode:
    support: none
    details: Has none.
  idempotent:
    support: full
    details: A run that holds the lock takes it again. Never reports a change, since bookkeeping is none.
options:
  directory:
    description: State directory on the host, created with mode 0700.
    type: path
    required: true
  state:
    description:
      - V(locked) takes the lock.
      - V(unlocked) appends O(record), if given, and releases this run's lock. A lock that is no longer this run's is
        left alone, with a warning.
      - V(broken) releases the lock of a run that is dead, and with O(force) that of any run.
      - V(joined) puts the run that holds the lock on another host in charge of this one, too, under O(fence).
    type: str
    choices: [locked, unlocked, broken, joined]
    required: true
  application:
    description: Name of the application.
    type: str
    required: true
  environment_name:
    description: Name of the environment.
    type: str
    required: true
  verb:
    description: What the run does, for the message to a second run.
    type: str
    default: deploy
  wait:
    description: Seconds that O(state=locked) waits while another run has the lock.
    type: float
    default: 0
  force:
    description: Whether O(state=broken) takes the lock also from a run that is alive, or of which that is not known.
    type: bool
    default: false
  backup_directory:
    description:
      - Directory of M(slipway.deploy.backup) on the host. A throw-away server that a run left there is removed when the
        lock is taken, and before it is given back.
    type: path
  fence:
    description: The number that V(locked) or V(broken) gave; for O(state=joined).
    type: int
  status:
    description:
      - How the run ended. The record of it is made of the phases that the hosts have noted (fact C(phase_results) of
        role phase) and, where it is V(failed), of their errors (fact C(phase_error)); the task then fails as well.
      - For O(state=unlocked); without it nothing is recorded.
    type: str
    choices: [succeeded, failed]
  failed_phase:
    description: The phase that failed.
    type: str
    default: ""
  release:
    description: What was deployed.
    type: str
    default: ""
  source:
    description: The application's directory on the controller, whose commit is looked up.
    type: path
  revision:
    description: The commit, for the record.
    type: str
    default: ""
  started:
    description: When the run began, in ISO 8601.
    type: str
    default: ""
  facts:
    description: What the run found, by name, for the record and the report.
    type: dict
    default: {}
  probe:
    description: How both releases answered on a migrated copy, for the record, as
      RV(slipway.deploy.release_probe#module:probe).
    type: dict
    default: {}
  rehearsal:
    description: What was seen of each migration in a rehearsal, for the record, as
      RV(slipway.deploy.migrations#module:rehearsal).
    type: list
    elements: dict
    default: []
  hooks:
    description: The commands of hooks that the run has run, for the record, each with C(hook), C(command), C(started),
      C(seconds) and C(output).
    type: list
    elements: dict
    default: []
  found:
    description:
      - What else the run found and did, for the record, each of which may be missing. C(former) is the release that
        served before, C(images) a list of images with C(name) and C(id), C(applied) is as in
        RV(slipway.deploy.migrations#module:migrations), C(backup) the result of M(slipway.deploy.backup), C(before) and
        C(verified) those of M(slipway.deploy.migrations_info).
    type: dict
    default: {}
  records:
    description:
      - Directory on the controller for the record of the run and its page, two files that are named after when it
        began; created with mode 0700. Empty for none. That they can't be written is a warning.
    type: path
    default: ""
  key:
    description:
      - A private key of SSH on the controller, such as C(ssh-keygen -t ed25519 -N '' -f FILE) makes, or a public one
        whose private one an agent has. The files in O(records) are signed with it, in a statement of in-toto beside
        them. Empty for no signature. That they can't be signed is a warning; where the file is missing, the lock is
        not taken.
    type: path
    default: ""
  lasting:
    description: What of a failed run stays, as a sentence.
    type: str
    default: ""
  receivers:
    description: Who is told how the run ended, by O(status), as M(slipway.deploy.notify) takes it; not in check mode.
    type: list
    elements: str
    default: []
  secrets:
    description:
      - Names of variables with secrets, each a text or the environment of a command. Their values are masked in the
        record before it leaves the controller.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Take the deploy lock
  slipway.deploy.deployment:
    directory: /var/lib/slipway/autotest/test
    state: locked
    application: autotest
    environment_name: test
"""

RETURN = r"""
actions:
  description: What was done, one sentence each.
  type: list
  elements: str
  returned: success
report:
  description: What a person is told of the run, in lines.
  type: list
  elements: str
  returned: when O(status) is given
revision:
  description:
    - The commit that is checked out in O(source), with C(-dirty) where files were changed since; empty where there is
      none.
  type: str
  returned: when O(source) is given
interrupted:
  description: The record of the run whose lock this was, which came to no end of its own; else none.
  type: dict
  returned: success
deployment:
  description: The run, and the last record of the ledger before it.
  type: dict
  returned: success
  contains:
    run: {description: Who runs what from where since when., type: dict}
    fence: {description: The number in charge of this host from now on; 0 where it was not changed., type: int}
    last: {description: The newest record of the ledger., type: dict}
    current: {description: The release of the last deploy that succeeded., type: str}
    current_revision: {description: Commit that it was deployed from., type: str}
"""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._module import run as run_module
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import throwaway
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.identity import FILE, check_environment
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import Fence
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger, Run, Taken
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import is_dead, run_of


def work(module: AnsibleModule) -> dict[str, Any]:
    try:
        return keep(module)
    except OSError as error:
        raise SlipwayError(
            f"The state directory {module.params['directory']} can't be used: {plain(error)}; fix that, or set "
            "state_dir."
        ) from error


def gone(holder: Run) -> bool:
    """Whether a holder of the lock ran on this very host, as a scheduled backup does, and has ended."""
    return is_dead(holder, run_of(os.getpid(), "", "", ""))


def tidied(module: AnsibleModule) -> list[str]:
    """Remove the server of its own that a copy was on; what was done. The lock does not depend on it."""
    directory = module.params["backup_directory"]
    try:
        return throwaway.removed(Path(directory)) if directory else []
    except SlipwayError as error:
        module.warn(str(error))
        return []


def keep(module: AnsibleModule) -> dict[str, Any]:
    """Read the ledger, then take or give back the lock."""
    params = module.params
    ledger, run = Ledger(Path(params["directory"])), Run(**params["run"])
    known = Run(**params["take_over"]) if params["take_over"] else None
    held = ledger.holder() if ledger.lock.exists() else None
    dead = known or (held if held and gone(held) else None)
    last, current = ledger.newest(), ledger.serving()
    actions, taken = [], Taken(0)
    if params["state"] in ("locked", "broken"):
        check_environment(ledger.directory / FILE, run.environment)
        ledger.check_environment(run)
    if params["state"] == "locked":
        if module.check_mode:
            ledger.refuse_other(run, dead)
        else:
            taken = ledger.acquire_within(
                params["wait"], run, lambda holder: gone(holder) or (known is not None and holder.same_process(known))
            )
            run = replace(run, fence=taken.fence)
            if taken.former:
                actions.append(f"Took over the lock of a dead run: {taken.former.describe()}.")
                module.warn(actions[-1])
            actions += tidied(module)
    elif params["state"] == "broken":
        taken = ledger.break_lock(dead, params["force"], write=not module.check_mode)
        if taken.former:
            actions.append(f"Broke the lock: {taken.former.describe()}.")
    elif params["state"] == "joined":
        if not module.check_mode:
            taken = Taken(params["fence"], None, Fence(ledger.directory, params["fence"]).take_over())
    elif not module.check_mode:
        held = ledger.holder()
        if held and held.same_process(run):
            run = held
            actions += tidied(module)
        if params["record"]:
            ledger.append({**params["record"], "run": asdict(run)})
        if not ledger.release(run):
            holder = ledger.holder()
            module.warn(
                f"The lock of {run.application}/{run.environment} was taken from this run while it worked, so another "
                "run may have worked at the same time. "
                + (f"It is held by another: {holder.describe()}." if holder else "Nobody holds it.")
                + " Compare their records in deployments.jsonl."
            )
    return {
        # Lock and ledger are bookkeeping, but for whom a lock was taken from.
        "changed": params["state"] == "broken" and taken.former is not None,
        "actions": [*actions, *taken.ended],
        "interrupted": taken.interrupted,
        "deployment": {
            "run": asdict(run),
            "fence": taken.fence,
            "last": last,
            "current": current.get("release", ""),
            "current_revision": ledger.source(current.get("release", "")),
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["locked", "unlocked", "broken", "joined"], "required": True},
            "application": {"type": "str", "required": True},
            "environment_name": {"type": "str", "required": True},
            "verb": {"type": "str", "default": "deploy"},
            "wait": {"type": "float", "default": 0},
            "force": {"type": "bool", "default": False},
            "backup_directory": {"type": "path"},
            "fence": {"type": "int"},
            # From the action plugin, which makes the record of the options that are missing here.
            "record": {"type": "dict"},
            "run": {"type": "dict", "required": True},
            "take_over": {"type": "dict"},
        },
        required_if=[("state", "joined", ["fence"])],
        supports_check_mode=True,
    )
    run_module(module, work, bookkeeping=True)


if __name__ == "__main__":
    main()
