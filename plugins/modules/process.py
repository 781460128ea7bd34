#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``process``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: process
short_description: Run a service in the background and replace it without refusing a connection
version_added: 0.1.0
author: The Slipway contributors
description:
  - Runs a command as a background process of this user, without root and without a supervisor. After a reboot of the
    host the next run of this task starts it again.
  - The public port is held by a small forwarder, the relay. The command itself listens on a private port of the
    loopback interface, which it is told by the placeholders C({host}) and C({port}) in O(argv) and O(env).
  - A changed service is started beside the old one and must answer O(health_path) with a 2xx status. Only then the
    relay leads to it; the old one is stopped when its connections have ended. If it does not get healthy it is stopped,
    the task fails with the end of its log, and the old one goes on serving.
  - The relay forwards bytes, so the service sees every client as 127.0.0.1.
  - Needs Linux, for C(/proc).
options:
  state:
    description: Whether the service runs. V(absent) stops what this module has started, and nothing else.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description: Directory of this service's record (0600), log and forwarder. It is made with mode 0700.
    type: path
    required: true
  argv:
    description: The command and its arguments. Required when O(state=present).
    type: list
    elements: str
  env:
    description:
      - Environment of the command. It is not written to disk. Besides it the command inherits C(HOME), C(LANG),
        C(LC_ALL), C(LOGNAME), C(PATH), C(TMPDIR), C(TZ) and C(USER).
    type: dict
    default: {}
  cwd:
    description: Directory in which the command runs. Required when O(state=present).
    type: path
  release:
    description: What the files are that the command reads, such as a digest of them; another one is started anew.
    type: str
    default: ""
  host:
    description: Address on which the service is reached.
    type: str
    default: 127.0.0.1
  port:
    description: Port on which the service is reached. Required when O(state=present).
    type: int
  health_path:
    description: Path that answers with a 2xx status when the service can take requests.
    type: str
    default: /healthz
  start_timeout:
    description: Seconds until a new process must be healthy.
    type: int
    default: 30
  drain_timeout:
    description: Seconds that open connections of the old process have to end before it is asked to stop.
    type: int
    default: 10
  stop_timeout:
    description: Seconds between SIGTERM and SIGKILL.
    type: int
    default: 10
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
"""

EXAMPLES = r"""
- name: Serve the shop on port 8080
  slipway.deploy.process:
    directory: /home/me/shop/.slipway/local/backend
    argv: [/home/me/shop/.venv/bin/uvicorn, "shop.main:app", --host, "{host}", --port, "{port}"]
    env:
      DATABASE_URL: "{{ database_url }}"
    cwd: /home/me/shop
    port: 8080
"""

RETURN = r"""
process:
  description: The service as it is now.
  returned: success
  type: dict
  contains:
    url:
      description: Where it is reached.
      type: str
      sample: http://127.0.0.1:8080
    pid:
      description: Number of the process that serves, or null.
      type: int
    log:
      description: File with its output.
      type: str
actions:
  description: What was done, in sentences.
  returned: success
  type: list
  elements: str
timings:
  description: Seconds that it took to get healthy (C(start)) and to end the old process (C(prune)).
  returned: when a process was started
  type: dict
log:
  description: The end of the new process's output.
  returned: when it did not get healthy
  type: str
"""

import os
import secrets
import shutil
import time
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked
from ansible_collections.slipway.deploy.plugins.module_utils._module import run, take_environment
from ansible_collections.slipway.deploy.plugins.module_utils._release import service as host
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec, State, address_of
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


def ensure(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    service = host.Service(params["directory"])
    return absent(module, service) if params["state"] == "absent" else present(module, service)


def outcome(changed: bool, service: host.Service, actions: list[str], **more: Any) -> dict[str, Any]:
    record = service.state
    process = {
        "url": f"http://{record.address}" if record.address else "",
        "pid": record.app.pid if record.app else None,
        "log": service.log,
    }
    return {"changed": changed, "process": process, "actions": actions, **more}


def absent(module: AnsibleModule, service: host.Service) -> dict[str, Any]:
    record = service.state
    running = [item for item in (record.relay, record.app, *record.spare) if item and host.alive(item)]
    changed = bool(running) or os.path.exists(service.file)
    actions = [f"Stopped process {item.pid}." for item in running]
    if changed and not module.check_mode:
        for item in running:
            insist()
            host.stop(item, module.params["stop_timeout"])
        os.remove(service.file)
    service.state = State()  # nothing serves, or would
    return outcome(changed, service, actions)


def present(module: AnsibleModule, service: host.Service) -> dict[str, Any]:
    params = module.params
    environment, secret = take_environment(module)
    spec = Spec(params["argv"], environment, params["cwd"], params["release"])
    old = service.state
    address = address_of(params["host"], params["port"])
    relay = old.relay if host.alive(old.relay) and old.address == address else None
    if relay is None:
        host.claim(params["host"], params["port"])
    if not os.path.isdir(spec.cwd):
        raise SlipwayError(f"{spec.cwd}, where the service is to run, is not a directory: correct cwd.")
    if not shutil.which(spec.argv[0], path=spec.env.get("PATH", os.environ.get("PATH"))):
        raise SlipwayError(f"{spec.argv[0]} is not a program on this host: correct the first element of argv.")

    same = bool(old.salt) and old.digest == spec.digest(old.salt) and host.alive(old.app)
    if same and relay and not host.health(params["host"], params["port"], params["health_path"]):
        leftovers = [item for item in old.spare if host.alive(item)]
        if not module.check_mode:
            prune(service, params)
        return outcome(bool(leftovers), service, [f"Stopped process {item.pid}." for item in leftovers])
    actions = [f"Started {os.path.basename(spec.argv[0])} for {address}."]
    if host.alive(old.app):
        actions.append("Stopped the process that served before.")
    if module.check_mode:
        return outcome(True, service, actions)

    os.makedirs(params["directory"], mode=0o700, exist_ok=True)
    prune(service, params)  # what an interrupted run left
    began = time.monotonic()
    candidate = start_candidate(service, spec, params, secret)
    healthy = time.monotonic()
    salt = secrets.token_hex(16)
    spare = tuple(item for item in (old.app, None if relay else old.relay) if item)
    insist()
    service.save(State(salt, spec.digest(salt), address, candidate, relay, spare))  # the switch
    if relay is None:
        host.start_relay(
            params["host"],
            params["port"],
            service.file,
            f"{service.log}.relay",
            lambda opened: service.save(replace(service.state, relay=opened)),
        )
    prune(service, params)
    timings = {"start": round(healthy - began, 2), "prune": round(time.monotonic() - healthy, 2)}
    return outcome(True, service, actions, timings=timings)


def start_candidate(service: host.Service, spec: Spec, params: dict[str, Any], secret: frozenset[str]) -> Process:
    """Start ``spec`` on a private port and wait until it is healthy; on failure leave nothing of it but its log.

    It is recorded as spare, for the next run to stop, until the caller records that it serves.
    """
    port = host.free_port()
    offset = os.path.getsize(service.log) if os.path.exists(service.log) else 0
    before = service.state
    process = host.start(
        spec.at(host.PRIVATE_HOST, port),
        port,
        service.log,
        lambda candidate: service.save(replace(before, spare=(*before.spare, candidate))),
    )
    trouble = "it has not answered yet"

    def decided() -> bool:
        nonlocal trouble
        trouble = host.health(host.PRIVATE_HOST, port, params["health_path"])
        return not trouble or not host.alive(process)

    wait_until(decided, params["start_timeout"])
    if not trouble and host.alive(process):
        return process
    why = f"{trouble} within {params['start_timeout']} s" if host.alive(process) else "it ended at once"
    host.stop(process, params["stop_timeout"])
    service.save(before)
    log = masked(host.log_end(service.log, offset), secret)
    still = "the old one still serves" if host.alive(before.app) else "nothing serves"
    raise SlipwayError(
        f"The new process did not get healthy: {why}; {still}. Correct what the end of its log shows and run "
        f"again.\n{log}",
        log=log,
    )


def prune(service: host.Service, params: dict[str, Any]) -> None:
    """Drain and stop what does not serve any more."""
    for item in service.state.spare:
        host.drain(item, params["drain_timeout"])
        insist()
        host.stop(item, params["stop_timeout"])
    if service.state.spare:
        service.save(replace(service.state, spare=()))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "directory": {"type": "path", "required": True},
            "argv": {"type": "list", "elements": "str"},
            "env": {"type": "dict", "default": {}, "no_log": True},
            "cwd": {"type": "path"},
            "release": {"type": "str", "default": ""},
            "host": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int"},
            "health_path": {"type": "str", "default": "/healthz"},
            "start_timeout": {"type": "int", "default": 30},
            "drain_timeout": {"type": "int", "default": 10},
            "stop_timeout": {"type": "int", "default": 10},
        },
        required_if=[("state", "present", ["argv", "cwd", "port"])],
        supports_check_mode=True,
    )
    run(module, ensure)


if __name__ == "__main__":
    main()
