#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``nginx_upstream``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_upstream
short_description: Point a running nginx container at another release
version_added: 0.1.0
author: The Slipway contributors
description:
  - Writes nginx's configuration, has nginx test it, reloads, asks through nginx until the wanted release answers, waits
    until the workers with the old configuration have finished their requests, and stops the containers of other
    releases.
  - When the test fails, or the wanted release does not answer, the old configuration is put back, and the old release
    goes on serving.
  - Where the nginx container does not run, the file is written and RV(pending) is true. Where it runs, but nothing
    answers at O(url), RV(pending) is true as well and the file stays. Start the container, restart it or make it anew,
    then call the module again with O(started=true).
options:
  container:
    description: Name of the nginx container.
    type: str
    required: true
  path:
    description:
      - The configuration file on the host. The container must see the directory it is in, not the file alone, which
        would stay the old one when it is replaced.
    type: path
    required: true
  content:
    description: The whole configuration file.
    type: str
    required: true
  config:
    description: Path of the configuration in the container with which nginx was started.
    type: str
    default: /etc/nginx/nginx.conf
  url:
    description: Address, as seen from the host, whose answer through nginx shows which release serves.
    type: str
    required: true
  header:
    description:
      - Header of the answer that names the release. Without one the release is known by its container alone, which the
        configuration must name in the header C(X-Slipway-Upstream) of answers to a request with C(X-Slipway-Probe).
    type: str
    default: ""
  value:
    description: What O(header) must say. Empty for any answer with a 2xx status.
    type: str
    default: ""
  started:
    description:
      - Whether nginx was started just before. It then has O(verify_timeout) to answer, and must be made to answer by
        this call.
    type: bool
    default: false
  verify_timeout:
    description: Seconds until the wanted release must answer.
    type: int
    default: 15
  drain_timeout:
    description: Seconds to wait for the old workers to finish.
    type: int
    default: 30
  upstream:
    description: Name of the container that nginx leads to. Other containers with O(upstream_label) are stopped.
    type: str
    default: ""
  upstream_label:
    description: Label, with or without a value, of the application's containers. Empty to stop none.
    type: str
    default: ""
  leftover_label:
    description:
      - Label of containers that work for one run and end with it; those that are still there were left by a dead run,
        and are removed. Empty to look for none.
    type: str
    default: ""
  keep:
    description: How many stopped containers of earlier releases stay, for a rollback.
    type: int
    default: 1
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - the command C(docker) on the host
"""

EXAMPLES = r"""
- name: Lead nginx to the new release
  slipway.deploy.nginx_upstream:
    container: shop-nginx
    path: /var/lib/slipway/shop/prod/frontend/conf/nginx.conf
    content: "{{ lookup('ansible.builtin.template', 'nginx.conf.j2') }}"
    url: http://127.0.0.1/healthz
    value: "2025-08-07"
    upstream: shop-backend-3f1d0c9a4b7e
    upstream_label: slipway.backend=shop-backend
"""

RETURN = r"""
pending:
  description: Whether nginx has yet to be started, restarted or made anew, so that nothing was verified.
  returned: success
  type: bool
actions:
  description: What was done, in sentences.
  returned: success
  type: list
  elements: str
timings:
  description: Seconds that the test, the reload with verification (C(switch)), the drain and stopping took.
  returned: when nginx was reloaded
  type: dict
  sample: {"test": 0.06, "switch": 0.11, "drain": 0.05, "retire": 0.3}
"""

import http.client
import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import (
    answers,
    ask,
    no_answer,
    read,
    replace_file,
    wait_until,
)
from ansible_collections.slipway.deploy.plugins.module_utils._host.secrets import masked
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release import nginx as switching
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


class Switch:
    """One call of the module: nginx, its configuration on the host, and the release that shall answer."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.params = module.params
        self.container: str = module.params["container"]
        self.before = read(module.params["path"])
        self.timings: dict[str, float] = {}
        self._mark = time.monotonic()

    def ensure(self) -> dict[str, Any]:
        content = self.params["content"]
        diff = {"before": self.before, "after": content, "before_header": self.params["path"]}
        running = docker.found("container", self.container, "{{.State.Status}}") == "running"
        same = self.before == content
        written = [] if same else [f"Wrote {self.params['path']}."]
        if not running:
            if not same and not self.module.check_mode:
                write(self.params["path"], content)
            return {"changed": not same, "pending": True, "actions": written, "diff": diff}
        if not self.serves():
            # It comes back with the configuration that served before; the call after that is the one that switches.
            changes = not same and self.module.check_mode
            return {"changed": changes, "pending": True, "actions": written if changes else [], "diff": diff}

        reload_needed = not same or bool(self.wrong_answer())
        actions = [*written, f"Reloaded {self.container}."] if reload_needed else []
        if reload_needed and not self.module.check_mode:
            self.switch(content)
        retirement = self.retirement()
        leftovers = self.leftovers()
        if not self.module.check_mode:
            self.retire(retirement)
            if leftovers:
                docker.must("rm", "--force", "--volumes", *leftovers)
        actions += [*retirement.actions, *(f"Removed container {name}, which a run left." for name in leftovers)]
        return {
            "changed": bool(actions),
            "pending": False,
            "actions": actions,
            "diff": diff,
            **({"timings": self.timings} if reload_needed else {}),
        }

    def serves(self) -> bool:
        """Whether anything answers at the address. An nginx that was started just before is given time, and trusted."""
        started: bool = self.params["started"]
        seconds = self.params["verify_timeout"] if started else 0
        return wait_until(lambda: answers(self.params["url"]), seconds) or started

    def switch(self, content: str) -> None:
        """Write, test, reload, verify, drain; put the old configuration back when that goes wrong."""
        write(self.params["path"], content)
        status, words = self.nginx("-t")
        self.took("test")
        if status:
            self.put_back(reload=False)
            raise SlipwayError(
                f"nginx does not accept the new {self.params['path']}, so the old one was put back and still serves; "
                f"correct the configuration:\n{words.strip()}"
            )
        old_workers = self.workers()
        insist()
        self.nginx("-s", "reload")
        wait_until(self.decided, self.params["verify_timeout"])
        wrong = self.wrong_answer()
        if wrong and wrong.other_release:
            self.put_back(reload=True)
            raise SlipwayError(
                f"Through nginx {wrong.what}: it is reached, but is another release than the one that was deployed, or "
                "says so by mistake. The old configuration was put back and serves. Let the application say in "
                f"{self.params['header']} the release that it is given, or name no such header: then the container "
                "alone tells."
            )
        if wrong:
            log = masked(docker.log_end(self.container), docker.secrets(self.params["upstream"]))
            self.put_back(reload=True)
            raise SlipwayError(
                f"Through nginx the new release does not answer: {wrong.what}; the old configuration was put back and "
                f"serves. See whether {self.params['upstream'] or 'the release'} can be reached from "
                f"{self.container}, whose log ends below.\n{log}"
            )
        self.took("switch")
        if not wait_until(lambda: not self.workers() & old_workers, self.params["drain_timeout"]):
            self.module.warn(f"{self.container}: old workers are still busy after {self.params['drain_timeout']} s.")
        self.took("drain")

    def put_back(self, reload: bool) -> None:
        if self.before:
            write(self.params["path"], self.before)
        else:
            os.remove(self.params["path"])
        if reload:
            self.nginx("-s", "reload")

    def nginx(self, *arguments: str) -> tuple[int, str]:
        return docker.run("exec", self.container, "nginx", "-c", self.params["config"], *arguments)

    def workers(self) -> set[str]:
        return switching.workers(docker.must("top", self.container, "-eo", "pid,args"))

    def decided(self) -> bool:
        """Whether the wanted release answers, or waiting any longer is pointless."""
        wrong = self.wrong_answer()
        return wrong is None or wrong.other_release

    def wrong_answer(self) -> switching.Fault | None:
        """What is wrong with the answer through nginx; None when the wanted release answers."""
        url = self.params["url"]
        wanted = switching.Wanted(self.params["upstream"], self.params["header"], self.params["value"])
        try:
            status, headers = ask(url, **switching.PROBE)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return switching.Fault(no_answer(url, error))
        return wanted.fault(url, status, {name.lower(): text for name, text in headers.items()})

    def retirement(self) -> switching.Retirement:
        label = self.params["upstream_label"]
        if not label or not self.params["upstream"]:
            return switching.Retirement()
        listing = docker.must("ps", "--all", "--no-trunc", f"--filter=label={label}", "--format={{json .}}")
        return switching.retire(
            switching.containers(listing), self.params["upstream"], self.before, self.params["keep"]
        )

    def leftovers(self) -> list[str]:
        """Containers that nobody waits for any more, since the run that started them is dead."""
        label = self.params["leftover_label"]
        return docker.must("ps", "--all", f"--filter=label={label}", "--format={{.Names}}").split() if label else []

    def retire(self, retirement: switching.Retirement) -> None:
        insist()
        if retirement.stop:
            docker.must("stop", *retirement.stop, timeout=600)  # each by its own signal and within its own time
        if retirement.remove:
            insist()  # stopping took its time
            docker.must("rm", "--volumes", *retirement.remove)
        self.took("retire")

    def took(self, phase: str) -> None:
        now = time.monotonic()
        self.timings[phase] = round(now - self._mark, 2)
        self._mark = now


def write(path: str, content: str) -> None:
    """Replace the file; nginx's own user in the container can read it, for it holds no secret."""
    directory = os.path.dirname(path)
    try:
        if not os.path.isdir(directory):
            os.makedirs(directory)
            os.chmod(directory, 0o755)
        replace_file(path, content, 0o644)
    except OSError as error:
        raise SlipwayError(
            f"{path} can't be written: {plain(error)}; give this user the right to write there."
        ) from error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "config": {"type": "str", "default": "/etc/nginx/nginx.conf"},
            "url": {"type": "str", "required": True},
            "header": {"type": "str", "default": ""},
            "value": {"type": "str", "default": ""},
            "started": {"type": "bool", "default": False},
            "verify_timeout": {"type": "int", "default": 15},
            "drain_timeout": {"type": "int", "default": 30},
            "upstream": {"type": "str", "default": ""},
            "upstream_label": {"type": "str", "default": ""},
            "leftover_label": {"type": "str", "default": ""},
            "keep": {"type": "int", "default": 1},
        },
        supports_check_mode=True,
    )
    run(module, lambda _module: Switch(_module).ensure())


if __name__ == "__main__":
    main()
