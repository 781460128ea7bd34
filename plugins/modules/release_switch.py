#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ``release_switch``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_switch
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
    description: The whole configuration file. Needed unless O(former=true).
    type: str
    default: ""
  former:
    description:
      - Whether to lead requests to O(upstream) as they were led to it when it served last. The configuration of each
        release that is replaced is kept for as long as its container is.
    type: bool
    default: false
  config:
    description: Path of the configuration in the container with which nginx was started.
    type: str
    default: /etc/nginx/nginx.conf
  url:
    description: Address, as seen from the host, whose answer through nginx shows which release serves.
    type: str
    required: true
  connect_to:
    description:
      - The C(ADDRESS:PORT), as seen from the host, at which an https O(url) is asked, whatever its name leads to and
        whoever signed its certificate.
    type: str
    default: ""
  plain_url:
    description:
      - Address at which nginx answers without TLS, be it with a redirection, where O(url) is https. It tells an nginx
        that answers nothing, which is to be restarted, from one that has no TLS yet.
    type: str
    default: ""
  certificate:
    description:
      - File on the host whose first certificate nginx must show at O(connect_to); after a change of it nginx is
        reloaded.
    type: path
    default: ""
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
- name: Point nginx at the new release
  slipway.deploy.release_switch:
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
  sample: {"test": 0.06, "switch": 0.11, "drain": 0.05, "prune": 0.3}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._release.switch import Switch, Wish


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "default": ""},
            "former": {"type": "bool", "default": False},
            "config": {"type": "str", "default": "/etc/nginx/nginx.conf"},
            "url": {"type": "str", "required": True},
            "connect_to": {"type": "str", "default": ""},
            "plain_url": {"type": "str", "default": ""},
            "certificate": {"type": "path", "default": ""},
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
        required_together=[("connect_to", "plain_url", "certificate")],
        required_if=[("former", False, ["content"]), ("former", True, ["upstream"])],
        supports_check_mode=True,
    )
    run(module, lambda _module: Switch(Wish(**module.params), module.check_mode, module.warn).ensure())


if __name__ == "__main__":
    main()
