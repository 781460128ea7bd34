#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``release_probe``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_probe
short_description: Try the release that serves, and the new one, on a copy of the database whose schema is changed
version_added: 0.1.0
author: The Slipway contributors
description:
  - Called twice, before (O(state=started)) and after (O(state=finished)) the schema of a copy of the database is
    changed, as by a rehearsal of migrations. The release that serves is started on the copy and asked, stands still
    meanwhile with its connections open, and is asked again; the new release is started on the changed copy and asked
    the same.
  - Fails where the release that serves answers worse than before, unless O(waived), or where the new one fails where
    the one that serves did not. What was not answered well before counts as nothing, nor does what differs by itself.
  - Both run as they do elsewhere, with their own environment, but with no way out. As a process a release has a network
    and mounts of its own, in which nothing is written to its directory; as a container an internal network, with its
    volumes for reading only. Where it looks for its database a relay leads to the copy, whatever database it asks for.
  - The copy may be on another host (O(copy_at)). Then it is made ready there, with O(state=prepared) before and
    O(state=settled) after the release that serves has been asked.
  - Nothing fails where a release can't be tried, such as one that is not ready without another service; RV(probe) says
    why.
  - Ends what an earlier run, that was killed, has left.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.postgres
attributes:
  check_mode:
    support: full
    details: Does nothing.
  diff_mode:
    support: none
    details: There is nothing to compare with.
  idempotent:
    support: full
    details: Nothing is left of what it does.
options:
  state:
    description:
      - Whether to begin, or to go on to the end. V(absent) ends what was started.
      - On the host of a copy that is reached at O(copy_at) from elsewhere, V(prepared) lets O(role) in, and V(settled)
        ends its transactions.
    type: str
    choices: [prepared, started, settled, finished, absent]
    required: true
  directory:
    description: State directory of the application on the host.
    type: path
    required: true
  label:
    description:
      - Value of the label C(slipway.backend) of the release's containers. Where there is none it is a process, with its
        state in C(backend) below O(directory).
    type: str
    default: ""
  config:
    description: Configuration file of nginx on the host, which says which container serves.
    type: path
    default: ""
  frontend:
    description: Container of nginx, whose log of the last hour tells what to ask beside O(requests).
    type: str
    default: ""
  sought_socket:
    description: Directory of the Unix socket at which the application looks for its database.
    type: path
    default: ""
  sought_host:
    description: Name of the host at which it looks for it otherwise.
    type: str
    default: ""
  sought_port:
    description: Port at which it looks for it.
    type: int
    default: 5432
  sought_ssl_mode:
    description:
      - What it asks for there, as libpq's C(sslmode). Where it insists on TLS the relay has a certificate for
        O(sought_host), of an authority of its own; C(openssl) on the host makes it.
      - A release in a container whose O(sought_host) is an IP address is tried where the module is root on the host.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: disable
  sought_ca:
    description: File in which it finds the authority that it trusts there; it finds the relay's.
    type: path
    default: ""
  copy_at:
    description:
      - Where O(login_db) is reached from here, when it is on another host. The release's own login is used, and
        O(login_host) and the others are not.
    type: dict
    suboptions:
      login_host: {description: Its host., type: str, default: ""}
      login_port: {description: Its port., type: int, default: 5432}
      login_unix_socket: {description: The directory of its socket., type: path, default: ""}
      login_db: {description: The copy., type: str, required: true}
      ssl_mode:
        description: As libpq's C(sslmode).
        type: str
        default: prefer
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
      ca_cert: {description: The authority of its certificate., type: path}
  role:
    description: Role that the application connects as. It may connect to the copy then.
    type: str
    default: ""
  requests:
    description:
      - What to ask, each as C(/path), as C(POST /path {"name":"value"}), or as a dict with such a C(request), with
        C(headers) and with C(body). C({unique}) stands for a word that is another one each time.
      - For requests other than GET, HEAD and OPTIONS the copy is copied once more, for the answers before.
    type: list
    elements: raw
    default: []
  most:
    description: How many requests to make at most, with those of the log.
    type: int
    default: 20
  ready_path:
    description: Path that answers with a 2xx status when a release can serve.
    type: str
    default: /healthz
  patience:
    description: Seconds that a release has to get ready.
    type: int
    default: 15
  port:
    description: Port on which a container listens.
    type: int
    default: 8000
  serving_release:
    description: The release that serves, for a process.
    type: str
    default: ""
  trees:
    description: Directory in which M(slipway.deploy.tree) has kept what a process runs from, by its release.
    type: path
    default: ""
  release:
    description: The new release. Without it only the one that serves is tried.
    type: str
    default: ""
  image:
    description: Image of the new release.
    type: str
    default: ""
  volumes:
    description: Its volumes.
    type: list
    elements: str
    default: []
  memory:
    description: Memory that its container may have.
    type: str
    default: 512M
  cpus:
    description: Processors that its container may use.
    type: float
    default: 1
  pids:
    description: How many processes its container may have.
    type: int
    default: 512
  argv:
    description: Command of the new release as a process; C({host}) and C({port}) are filled in.
    type: list
    elements: str
    default: []
  env:
    description: Environment of the new release.
    type: dict
    default: {}
  cwd:
    description: Directory in which a process runs.
    type: path
    default: ""
  incomplete:
    description: Whether the copy's schema is not what the new release will find, since not all could be done there.
    type: bool
    default: false
  required:
    description: Whether to fail where a release can't be tried.
    type: bool
    default: false
  maintenance_db:
    description: Database to connect to while O(login_db) is copied.
    type: str
    default: postgres
  waived:
    description: Whether the release that serves may break.
    type: bool
    default: false
  waiver:
    description: What that option is called, for the message.
    type: str
    default: "waived: true"
requirements:
  - for containers, the command C(docker) on the host
seealso:
  - module: slipway.deploy.migrations
"""

EXAMPLES = r"""
- name: Have the release that serves answer on the copy
  slipway.deploy.release_probe: &probe
    state: started
    directory: /var/lib/slipway/shop/test
    label: shop-test-backend
    sought_host: shop-test-postgres
    role: shop_app
    requests: [/orders, 'POST /orders {"reference": "{unique}"}']
    login_unix_socket: /var/lib/slipway/shop/test/run
    login_user: postgres
    login_password: "{{ postgres_superuser_password }}"
    login_db: shop_scratch
"""

RETURN = r"""
probe:
  description: How both releases answered; in a failure, too.
  returned: always, once both were asked or why they were not is known
  type: dict
  contains:
    tried: {description: Whether they were tried., type: bool}
    reason: {description: Why not., type: str}
    shown: {description: 'How it went, in a few words.', type: str}
    serving: {description: The release that serves., type: str}
    new: {description: The new release; empty where it is the same or there is none., type: str}
    broken: {description: 'How the release that serves breaks, where that was waived.', type: str}
    seconds: {description: 'How long it took, without what was done to the copy meanwhile.', type: float}
    requests:
      description: >-
        The requests without queries, headers and bodies. The status C(before), of the release that serves (C(serving))
        and of the new one (C(new)), 0 for no answer, with what the database refused (C(serving_errors),
        C(new_errors)); C(steady) is false where the answer differs by itself.
      type: list
      elements: dict
actions:
  description: What was done.
  returned: success
  type: list
  elements: str
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._module import run, take_environment
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    CONNECTION_SPEC,
    LOCATION_SPEC,
    Server,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release.both_releases import (
    Asking,
    asked_lately,
    new_release,
    serving_release,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release.probe import Request, summary, verdict
from ansible_collections.slipway.deploy.plugins.module_utils._release.trial import Trials
from ansible_collections.slipway.deploy.plugins.module_utils._release.tried_copy import TriedCopy, place_of, sought

STATES = ("prepared", "started", "settled", "finished", "absent")
NOTHING_SERVES = "no release serves"
INCOMPLETE = "not all that the migrations change could be kept on the copy"


class Course:
    """One call of the module."""

    def __init__(self, module: AnsibleModule) -> None:
        self.params = params = module.params
        self.environment, _secrets = take_environment(module)
        self.requests, params["requests"] = params["requests"], []  # their headers and bodies may be secret
        module.no_log_values |= {params["login_password"]} - {""}
        server = Server.from_params(params)
        self.copy = TriedCopy(server, params["maintenance_db"], params["role"])
        self.trials = Trials.of(params["directory"], params["label"], place_of(server.at(params["copy_at"] or {})))
        self.sought = sought(params)
        self.writes = not all(Request.parse(said).reads for said in self.requests)  # one that is none is told as such

    def asking(self, paths: list[str]) -> Asking:
        ready = Request("GET", self.params["ready_path"])
        given = [Request.parse(said) for said in self.requests]
        others = [Request("GET", path) for path in paths]
        return Asking(self.trials, [ready, *given, *others], self.params["patience"])

    def from_log(self) -> list[str]:
        """Paths of the last hour, where there is nginx."""
        if not self.params["frontend"]:
            return []
        return asked_lately(self.params["frontend"], self.asking([]).requests, self.params["most"])

    def prepared(self) -> dict[str, Any]:
        try:
            self.copy.prepare(writes=self.writes)
        except SlipwayError as error:
            return self.not_tried(str(error))
        return {"changed": False, "actions": []}

    def settled(self) -> dict[str, Any]:
        self.copy.settle()
        return {"changed": False, "actions": []}

    def started(self) -> dict[str, Any]:
        began, here = time.monotonic(), not self.params["copy_at"]
        paths = self.from_log()
        self.clean()
        try:
            serving = serving_release(self.params)
            if serving is None:
                return self.not_tried(NOTHING_SERVES)
            self.trials.notes = {"paths": paths, "serving": serving.name}
            try:
                if here:
                    self.copy.prepare(writes=self.writes)
                writable = self.copy.writable if self.writes else ""
                self.asking(paths).before(serving, self.copy.name, writable, self.sought)
            finally:
                if here:
                    self.copy.settle()
            self.trials.notes["seconds"] = time.monotonic() - began
            self.trials.save()
        except SlipwayError as error:
            self.clean()
            return self.not_tried(str(error))
        return {"changed": False, "actions": []}

    def finished(self) -> dict[str, Any]:
        began, notes = time.monotonic(), self.trials.notes
        if "before" not in notes:
            return self.not_tried(NOTHING_SERVES)
        if self.params["incomplete"]:
            self.clean()
            return self.not_tried(INCOMPLETE)
        try:
            serving = serving_release(self.params)
            new = new_release(self.params, self.environment, serving) if serving else None
            probes = self.asking(notes["paths"]).after(new, self.copy.name, self.sought)
        except SlipwayError as error:
            return self.not_tried(str(error))
        finally:
            self.clean()
        stop, waivable = verdict(probes, notes["serving"], new.name if new else "", self.params["waiver"])
        seconds = round(notes["seconds"] + time.monotonic() - began, 1)
        found = {
            "tried": True, "reason": "", "serving": notes["serving"], "new": new.name if new else "",
            "broken": waivable if self.params["waived"] else "", "seconds": seconds,
            "requests": [probe.result() for probe in probes], "shown": summary(probes, new is not None),
        }  # fmt: skip
        stops = [text for text in (stop, "" if self.params["waived"] else waivable) if text]
        if stops:
            raise SlipwayError("\n".join(stops), probe=found)
        return {"changed": False, "actions": [], "probe": found}

    def absent(self) -> dict[str, Any]:
        return {"changed": self.clean(), "actions": []}

    def clean(self) -> bool:
        return self.trials.clean(containers=bool(self.params["label"]))

    def not_tried(self, reason: str) -> dict[str, Any]:
        found = {"tried": False, "reason": reason, "shown": f"not tried, since {reason}", "requests": []}
        if self.params["required"] and reason != NOTHING_SERVES:
            raise SlipwayError(f"The releases can't be tried on the migrated copy: {reason.rstrip('.')}.", probe=found)
        return {"changed": False, "actions": [], "probe": found}


def work(module: AnsibleModule) -> dict[str, Any]:
    if module.check_mode:
        return {"changed": False, "actions": []}
    course = Course(module)
    done: dict[str, Any] = getattr(course, module.params["state"])()
    return done


def main() -> None:
    texts = ("label", "frontend", "sought_host", "role", "serving_release", "release", "image")
    paths = ("config", "sought_socket", "sought_ca", "trees", "cwd")
    numbers = {"sought_port": 5432, "most": 20, "patience": 15, "port": 8000, "pids": 512}
    options: dict[str, dict[str, Any]] = {
        **CONNECTION_SPEC,
        **{name: {"type": "str", "default": ""} for name in texts},
        **{name: {"type": "path", "default": ""} for name in paths},
        **{name: {"type": "int", "default": number} for name, number in numbers.items()},
        "state": {"type": "str", "required": True, "choices": list(STATES)},
        "directory": {"type": "path", "required": True},
        "sought_ssl_mode": {**CONNECTION_SPEC["ssl_mode"], "default": "disable"},
        "copy_at": LOCATION_SPEC,
        "requests": {"type": "list", "elements": "raw", "default": [], "no_log": True},
        "ready_path": {"type": "str", "default": "/healthz"},
        "volumes": {"type": "list", "elements": "str", "default": []},
        "memory": {"type": "str", "default": "512M"},
        "cpus": {"type": "float", "default": 1},
        "argv": {"type": "list", "elements": "str", "default": []},
        "env": {"type": "dict", "default": {}, "no_log": True},
        "maintenance_db": {"type": "str", "default": "postgres"},
        **{name: {"type": "bool", "default": False} for name in ("waived", "incomplete", "required")},
        "waiver": {"type": "str", "default": "waived: true"},
    }
    run(AnsibleModule(argument_spec=options, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
