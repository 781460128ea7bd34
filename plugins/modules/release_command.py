#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: release_command
author: The Slipway contributors
short_description: Run a command of the application once, as a process or in a container
description:
  - Runs a command once and waits until it ends. Its environment is handed over directly, so that no process list shows
    the secrets in it, as it would with a task's C(environment).
  - A failure shows the end of the command's output, in which the secrets of O(env) are masked in whatever form they
    stand there.
  - A container is removed when its command has ended, also when nobody waits for it any more. One that an earlier run
    left is removed first, since two must not work at once.
  - A process ends with this module, also when that is killed.
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
    details: Neither runs the command nor removes a container.
  diff_mode:
    support: none
    details: Does not know what the command does.
  idempotent:
    support: partial
    details: Runs the command each time; removes a container once.
options:
  state:
    description: V(done) runs the command; V(absent) removes the containers that earlier runs left.
    type: str
    choices: [done, absent]
    default: done
  argv:
    description: The command and its arguments. Required to run one.
    type: list
    elements: str
  env:
    description:
      - Environment of the command. A process inherits C(HOME), C(LANG), C(LC_ALL), C(LOGNAME), C(PATH), C(TMPDIR),
        C(TZ) and C(USER) besides, as does a release that M(slipway.deploy.process) runs.
    type: dict
    default: {}
  cwd:
    description: Directory in which it runs; by default the one in which Ansible works, or the image's own.
    type: path
  user:
    description: User and group of the container, as in docker run's C(--user); by default the image's own.
    type: str
    default: ""
  purpose:
    description: What messages call the command.
    type: str
    default: command
  image:
    description: Image of the container in which the command runs, without capabilities. By default it is a process.
    type: str
    default: ""
  network:
    description: Network of the container.
    type: str
    default: bridge
  label:
    description: Name of the container, and value of its label C(slipway.command).
    type: str
    default: ""
  memory:
    description: Memory that the container may use.
    type: str
    default: 512M
  pids:
    description: How many processes and threads the container may have.
    type: int
    default: 512
  volumes:
    description: Mounts of the container, as in docker run's C(--volume).
    type: list
    elements: str
    default: []
  read_only:
    description: Whether the container can write to nothing but O(volumes) and a C(/tmp) in memory.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Seed
  slipway.deploy.release_command:
    argv: [/home/me/shop/.venv/bin/python, -m, shop.seed]
    env:
      DATABASE_URL: "{{ database_url }}"
    purpose: seed command

- name: Seed with the release's image
  slipway.deploy.release_command:
    argv: [python, -m, shop.seed]
    env:
      DATABASE_URL: "{{ database_url }}"
    image: shop-backend:3f1d0c9a4b7e
    network: shop-test
    label: shop-test-seed
    purpose: seed command
"""

RETURN = r"""
actions:
  description: What was done, one sentence each.
  type: list
  elements: str
  returned: success
ran:
  description: How the command ran.
  type: dict
  returned: outside check mode
  contains:
    command: {description: The command, with the secrets masked., type: str}
    started: {description: When it was started, in UTC (ISO 8601)., type: str}
    seconds: {description: How long it took., type: float}
    output: {description: The end of what it wrote, at most 30 lines, with the secrets masked., type: str}
"""

import collections
import contextlib
import ctypes
import datetime
import os
import signal
import subprocess
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import embedded, masked
from ansible_collections.slipway.deploy.plugins.module_utils._module import run, take_environment
from ansible_collections.slipway.deploy.plugins.module_utils._release import command as commands
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import inherited
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import mark

LINES = 30
REMOVING = 30  # seconds
PR_SET_PDEATHSIG = 1  # prctl(2)
NOT_STARTED = (125, 126, 127)  # docker-run(1): the engine, or the command in the container


def die_with_parent() -> None:
    """Have the kernel end this process when its parent has ended, however that came."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def finish(command: list[str], *, stdin: str = "", **options: Any) -> tuple[int, str]:
    """Run a command to its end; return its exit status and the last lines that it wrote."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    ) as child:
        assert child.stdin
        assert child.stdout
        try:
            with contextlib.suppress(BrokenPipeError):  # it ended without reading
                child.stdin.write(stdin.encode(errors="surrogateescape"))
                child.stdin.close()
            last = collections.deque(child.stdout, maxlen=LINES)
        except BaseException:
            child.kill()
            raise
    return child.returncode, b"".join(last).decode(errors="replace").strip()


def remove_leftovers(module: AnsibleModule) -> list[str]:
    """Remove the containers of earlier runs, and say so."""
    label = module.params["label"]
    listing = (
        docker.must("ps", "--all", f"--filter=label={commands.LABEL}={label}", "--format={{.ID}} {{.Names}}")
        if label
        else ""
    )
    found = [line.split(maxsplit=1) for line in listing.splitlines()]
    if found and not module.check_mode:
        docker.must("rm", "--force", "--volumes", *(number for number, _name in found))
    return [f"Removed container {name}, which an earlier run left." for _number, name in found]


def in_container(module: AnsibleModule, environment: dict[str, str]) -> tuple[int, str]:
    params = module.params
    container = commands.Container(
        params["image"], params["network"], params["label"], params["memory"], params["pids"], params["volumes"],
        params["cwd"] or "", params["user"], params["read_only"],
    )  # fmt: skip
    try:
        return finish(
            ["docker", *container.command(params["argv"], environment)],
            stdin=commands.environment_file(environment),
            env={**os.environ, **commands.by_name(environment)},
        )
    except BaseException:
        wait_until(lambda: removed(container.label), REMOVING)
        raise


def removed(container: str) -> bool:
    """Remove a container; False where it is there still, since the engine was just about to start it."""
    docker.run("rm", "--force", "--volumes", container)
    return docker.found("container", container, "{{.Id}}") is None


def work(module: AnsibleModule) -> dict[str, Any]:
    params = module.params
    environment, secrets = take_environment(module)
    actions = remove_leftovers(module)
    if params["state"] == "absent":
        return {"changed": bool(actions), "actions": actions}

    argv: list[str] = params["argv"]
    purpose: str = params["purpose"]
    secrets |= {secret for argument in argv for secret in embedded(argument)}
    module.no_log_values |= secrets
    ran: dict[str, Any] = {}
    if not module.check_mode:
        command = masked(" ".join(argv), secrets)
        began, moment = time.monotonic(), datetime.datetime.now(datetime.timezone.utc)
        try:
            if params["image"]:
                status, output = in_container(module, environment)
            else:
                status, output = finish(
                    argv, env={**inherited(), **mark(), **environment}, cwd=params["cwd"], preexec_fn=die_with_parent
                )
        except OSError as error:
            raise SlipwayError(f"The {purpose} {command} can't be started: {plain(error)}; correct it.") from error
        output = masked(output, secrets)
        if status in NOT_STARTED and output.startswith("docker: "):
            raise SlipwayError(
                f"The {purpose} {command} can't be started in a container of {params['image']}: "
                f"{output.splitlines()[0]} Correct the command, or start the engine."
            )
        if status:
            raise SlipwayError(
                f"The {purpose} {command} ended with {status}; correct what the end of its output shows, and run "
                f"again:\n{output}"
            )
        started = moment.isoformat(timespec="seconds")
        seconds = round(time.monotonic() - began, 1)
        ran = {"ran": {"command": command, "started": started, "seconds": seconds, "output": output}}
    return {"changed": True, "actions": [*actions, f"Ran the {purpose}."], **ran}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["done", "absent"], "default": "done"},
            "argv": {"type": "list", "elements": "str"},
            "env": {"type": "dict", "default": {}, "no_log": True},
            "cwd": {"type": "path"},
            "user": {"type": "str", "default": ""},
            "purpose": {"type": "str", "default": "command"},
            "image": {"type": "str", "default": ""},
            "network": {"type": "str", "default": "bridge"},
            "label": {"type": "str", "default": ""},
            "memory": {"type": "str", "default": "512M"},
            "pids": {"type": "int", "default": 512},
            "volumes": {"type": "list", "elements": "str", "default": []},
            "read_only": {"type": "bool", "default": True},
        },
        required_if=[("state", "done", ["argv"]), ("state", "absent", ["label"])],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
