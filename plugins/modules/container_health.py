#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``container_health``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_health
short_description: Wait until a container is healthy, or remove it
version_added: 0.1.0
author: The Slipway contributors
description:
  - The gate before a new release takes requests. Waits until the container's health check passes. It runs the check's
    command itself as well, since the engine does so for the first time when a whole interval has passed.
  - When it does not, or can't any more because the process keeps ending, the task fails with what the health check said
    and with the end of the container's log. Secrets in the container's environment are masked in both.
options:
  name:
    description: Name of the container.
    type: str
    required: true
  timeout:
    description: Seconds that the container has.
    type: int
    default: 60
  remove:
    description: Whether to remove the container when it does not get healthy.
    type: bool
    default: false
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: In check mode it looks once and does not wait.
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - the command C(docker) on the host
"""

EXAMPLES = r"""
- name: Wait until the new release is healthy
  slipway.deploy.container_health:
    name: shop-backend-3f1d0c9a4b7e
    timeout: 60
    remove: true
"""

RETURN = r"""
healthy:
  description: Whether the container is healthy. Always true outside check mode.
  returned: success
  type: bool
seconds:
  description: How long that took.
  returned: success
  type: float
log:
  description: The end of the container's log.
  returned: when it did not get healthy
  type: str
"""

import contextlib
import time
from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.container_health import TEMPLATE, Health
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

LONGEST = 10.0  # seconds that a check may take here
PAUSE = 0.5  # seconds between two


def look(name: str) -> Health:
    found = docker.found("container", name, TEMPLATE)
    if found is None:
        raise SlipwayError(f"There is no container {name} on this host: start it before waiting for its health.")
    return Health.parse(found)


def passes(name: str, health: Health) -> bool:
    """Whether the check of a container that has not been checked yet passes now."""
    if health.status != "running" or health.health != "starting" or not health.check:
        return False
    with contextlib.suppress(SlipwayError):  # it takes too long: the engine ends one that does
        return docker.run("exec", name, *health.check, timeout=LONGEST)[0] == 0
    return False


def ensure(module: AnsibleModule) -> dict[str, Any]:
    name, timeout = module.params["name"], module.params["timeout"]
    began = time.monotonic()
    health = first = look(name)
    due = began

    def decided() -> bool:
        nonlocal health, due
        health = look(name)
        if time.monotonic() >= due:
            if passes(name, health):
                health = replace(health, health="healthy")
            due = time.monotonic() + PAUSE
        return health.healthy or bool(health.failure_reason(first.restarts))

    if not module.check_mode:
        wait_until(decided, timeout)
    if health.healthy or module.check_mode:
        seconds = round(time.monotonic() - began, 2)
        return {"changed": False, "healthy": health.healthy, "seconds": seconds}

    why = health.failure_reason(first.restarts) or f"after {timeout} s it is {health.health}"
    said = f" (the health check said: {masked(health.said, docker.secrets(name))})" if health.said else ""
    log = docker.log_end(name)
    if module.params["remove"]:
        insist()
        docker.must("rm", "--force", "--volumes", name)
    gone = "It was removed; what" if module.params["remove"] else "What"
    raise SlipwayError(
        f"Container {name} did not get healthy: {why}{said}. {gone} served before still serves. Correct what the end "
        f"of its log shows and run again.\n{log}",
        log=log,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "timeout": {"type": "int", "default": 60},
            "remove": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    run(module, ensure)


if __name__ == "__main__":
    main()
