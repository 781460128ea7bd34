#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: entry_site
author: The Slipway contributors
short_description: The site of an application in the nginx through which several hosts are reached
description:
  - The entry is one nginx container on a host, shared by all applications there. Each has a site of its own, a file
    below C(sites/) of O(directory), which leads to its backends.
  - V(present) writes the site, having asked each backend; V(out) leads no more requests to one of them and waits until
    those under way have ended; V(in) asks it and leads requests to it again.
  - When nginx refuses the files, a backend does not answer, or the site does not answer afterwards, what was there
    before is put back and serves.
  - Where the container does not run, or answers nothing, the files are written and RV(pending) is true. Start it, and
    call the module again with O(started=true).
extends_documentation_fragment: slipway.deploy.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description: What is to be so.
    type: str
    choices: [present, absent, out, in]
    default: present
  container:
    description: Name of the nginx container.
    type: str
    required: true
  directory:
    description: Directory of the configuration on the host, which the container sees.
    type: path
    required: true
  config:
    description: Path of the configuration in the container with which nginx was started.
    type: str
    required: true
  site:
    description: Name of the site, by which its file is called.
    type: str
    required: true
  main:
    description: The configuration that has all sites included. Needed with O(state=present).
    type: str
  content:
    description:
      - The site's own file, in which each backend is a line C(server ADDRESS:PORT ...; # NAME). Needed with
        O(state=present).
    type: str
  backend:
    description: Name of the backend that is taken out of use or into it.
    type: str
  containers:
    description: Name of the container that must answer at each backend, by the backend's name.
    type: dict
    default: {}
  domain:
    description: The site's name, for which it and its backends are asked.
    type: str
    default: ""
  path:
    description: What a backend is asked for.
    type: str
    default: /
  header:
    description: Header of a backend's answer that names its release.
    type: str
    default: ""
  value:
    description: What O(header) must say.
    type: str
    default: ""
  url:
    description: Address, as seen from the host, at which the site is asked for.
    type: str
  plain_url:
    description: Address at which nginx answers without TLS, where O(url) is https.
    type: str
    default: ""
  connect_to:
    description: The C(ADDRESS:PORT), as seen from the host, at which an https O(url) is asked.
    type: str
    default: ""
  certificate:
    description:
      - File on the host whose first certificate nginx must show at O(connect_to). It goes with O(state=absent).
    type: path
    default: ""
  started:
    description: Whether nginx was started just before; it then has O(verify_timeout) to answer.
    type: bool
    default: false
  verify_timeout:
    description: Seconds until a backend, or the site, must answer.
    type: int
    default: 15
  drain_timeout:
    description: Seconds that requests under way have to end when a backend goes out of use.
    type: int
    default: 30
requirements:
  - the command C(docker) on the host
seealso:
  - module: slipway.deploy.release_switch
"""

EXAMPLES = r"""
- name: Lead no requests to web2 while it is made another release
  slipway.deploy.entry_site:
    state: out
    container: slipway-entry
    directory: /var/lib/slipway/entry/config
    config: /etc/slipway/nginx.conf
    site: shop-prod
    backend: web2
    url: http://127.0.0.1/
    domain: shop.example.com
"""

RETURN = r"""
pending:
  description: Whether nginx has yet to be started or restarted.
  returned: with O(state=present)
  type: bool
others:
  description: How many sites of other applications there are.
  returned: with O(state=absent)
  type: int
actions:
  description: What was done, in sentences.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.entry import Entry, Proof
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx_container import Endpoint, Nginx

SPEC: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent", "out", "in"], "default": "present"},
    "container": {"type": "str", "required": True},
    "directory": {"type": "path", "required": True},
    "config": {"type": "str", "required": True},
    "site": {"type": "str", "required": True},
    "containers": {"type": "dict", "default": {}},
    "path": {"type": "str", "default": "/"},
    "certificate": {"type": "path", "default": ""},
    "started": {"type": "bool", "default": False},
    "verify_timeout": {"type": "int", "default": 15},
    "drain_timeout": {"type": "int", "default": 30},
    **{name: {"type": "str"} for name in ("main", "content", "backend", "url")},
    **{name: {"type": "str", "default": ""} for name in ("domain", "header", "value", "plain_url", "connect_to")},
}


def work(module: AnsibleModule) -> dict[str, Any]:
    params, state = module.params, module.params["state"]
    engine = Nginx(params["container"], params["config"])
    endpoint = Endpoint(
        params["url"] or "", **{name: params[name] for name in ("connect_to", "plain_url", "certificate", "domain")}
    )
    proof = Proof(params["path"], params["containers"], params["header"], params["value"], params["verify_timeout"])
    entry = Entry(params["directory"], params["site"], engine, endpoint, proof, module.check_mode)
    if state == "present":
        pending, actions, diff = entry.present(params["main"], params["content"], params["started"])
        return {"changed": bool(actions), "actions": actions, "pending": pending, "diff": diff}
    if state == "absent":
        actions, others = entry.absent()
        return {"changed": bool(actions), "actions": actions, "others": others}
    workers, actions = entry.turn(params["backend"], out=state == "out")
    if state == "out" and not engine.drained(workers, params["drain_timeout"]):
        module.warn(f"{params['container']}: old workers are still busy after {params['drain_timeout']} s.")
    return {"changed": bool(actions), "actions": actions}


def main() -> None:
    module = AnsibleModule(
        argument_spec=SPEC,
        required_if=[
            ("state", "present", ["main", "content", "url"]),
            ("state", "out", ["backend", "url"]),
            ("state", "in", ["backend", "url"]),
        ],
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
