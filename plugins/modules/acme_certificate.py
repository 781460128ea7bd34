#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: acme_certificate
author: The Slipway contributors
short_description: A site's certificate by ACME, renewed by the host itself
description:
  - Where there is no certificate for O(domains) from O(server) yet, or less than a third of its time is left, gets one
    with the client lego, which proves by HTTP-01 that the domains are this host's, and puts it with its key into one
    file that only nginx's user may read.
  - The challenge is answered by nginx, from O(webroot), where it runs, else by lego itself at the same address. So the
    certificate is there before nginx needs it, and an order that is refused changes nothing of what serves.
  - Puts a program on the host, which is this collection's own core, and has a timer of systemd, or cron where there is
    none, start it twice a day. It does the same, and has nginx reload.
  - C(absent) stops the timer and takes it, the program and the account away. The certificate stays.
extends_documentation_fragment: [slipway.deploy.attributes, slipway.deploy.nginx_container]
attributes:
  check_mode:
    support: full
    details: Returns what would be done and does nothing.
  diff_mode:
    support: full
    details: Shows the units.
  idempotent:
    support: full
options:
  state:
    description: Whether the host looks after a certificate.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Name of the service and the timer.
    type: str
    required: true
  files:
    description: Directory for the program, its settings and lego's account (0700).
    type: path
    required: true
  domains:
    description: Domains that the certificate names.
    type: list
    elements: str
    default: []
  email:
    description: Address that the server may write to.
    type: str
    default: ""
  server:
    description: URL of the ACME server's directory.
    type: str
    default: https://acme-v02.api.letsencrypt.org/directory
  authorities:
    description: Certificates, in PEM format, of who may sign the ACME server's own. Empty for the host's.
    type: str
    default: ""
  path:
    description: File that nginx reads.
    type: path
    default: ""
  webroot:
    description: Directory from which nginx answers what is asked below C(/.well-known/acme-challenge).
    type: path
    default: ""
  address:
    description: Address of the host on which the site is published.
    type: str
    default: 0.0.0.0
  port:
    description: Port of the host on which it answers without TLS. An ACME server asks port 80.
    type: int
    default: 80
  config:
    description: Path of the configuration in the container with which nginx was started.
    type: str
    default: /etc/nginx/nginx.conf
requirements:
  - systemd or cron, root, and the commands C(lego), C(openssl) and C(docker)
seealso:
  - module: slipway.deploy.certificate
"""

EXAMPLES = r"""
- name: Have a certificate from Let's Encrypt
  slipway.deploy.acme_certificate:
    name: shop-prod-certificate
    files: /var/lib/slipway/shop/prod/certificate
    domains: [shop.example.com, www.shop.example.com]
    email: ops@example.com
    path: /var/lib/slipway/shop/prod/frontend/config/certificate.pem
    webroot: /var/lib/slipway/shop/prod/frontend/config/challenges
    container: shop-prod-frontend
    image: nginx:1.28
    user: nginx
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, one sentence each.
  type: list
  elements: str
  returned: success
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._certificate import renewal
from ansible_collections.slipway.deploy.plugins.module_utils._host.program import Files, packed, settings
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import timers
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

SPEC: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str", "required": True},
    "files": {"type": "path", "required": True},
    "domains": {"type": "list", "elements": "str", "default": []},
    "server": {"type": "str", "default": "https://acme-v02.api.letsencrypt.org/directory"},
    "address": {"type": "str", "default": "0.0.0.0"},
    "port": {"type": "int", "default": 80},
    "config": {"type": "str", "default": "/etc/nginx/nginx.conf"},
    **{name: {"type": "path", "default": ""} for name in ("path", "webroot")},
    **{name: {"type": "str", "default": ""} for name in ("email", "authorities", "container", "image", "user")},
}
PROGRAM, SETTINGS, AUTHORITIES = "certificate.pyz", "settings.json", "authorities.pem"


def program(params: dict[str, Any], files: Path) -> dict[Path, bytes]:
    """The program, its settings and the authorities, by their files."""
    authorities = {files / AUTHORITIES: params["authorities"].encode()} if params["authorities"] else {}
    told = {name: params[name] for name in SPEC if name not in ("state", "name")}
    told["authorities"] = "".join(map(str, authorities))
    return {
        files / PROGRAM: packed(renewal.__name__),
        files / SETTINGS: settings(told),
        **authorities,
    }


def work(module: AnsibleModule) -> dict[str, Any]:
    params, files = module.params, Path(module.params["files"])
    arguments = (sys.executable, f"{files}/{PROGRAM}", f"{files}/{SETTINGS}")
    what = f"Certificate of {', '.join(params['domains'])}"
    here, other = timers.timers(timers.Command(params["name"], what, arguments, files / "log"))
    wanted = params["state"] == "present"
    gone = [timer for timer in (here, other) if timer.exists() and not (wanted and timer is here)]
    diff = {"before": here.found(), "after": ""}
    actions, wants, why, late, when = list[str](), Files(files, {}), "", list[str](), ""
    if wanted:
        timers.insist("A certificate by ACME")
        wants = Files(files, program(params, files))
        site = renewal.Site.from_settings(json.loads(wants.wanted[files / SETTINGS]))
        why, when = site.why(time.time()), renewal.times(params["domains"])
        late = here.due(when)
        diff["after"] = here.wanted(when)
        if not why and not module.check_mode:
            actions += site.give()
    actions += [f"Wrote {path}." for path in wants.changed()]
    if wanted and why and module.check_mode:
        actions.append(f"Got a certificate for {', '.join(params['domains'])}, since {why}.")
    if (actions or why or late or gone) and not module.check_mode:
        insist()
        # The order first: one that is refused leaves no timer that goes on asking for it, be it new or there already.
        if wanted:
            with wants.written():
                actions += site.get() if why else []
        if late:
            here.put(when)
        for timer in gone:
            timer.remove()
    actions += late + [timer.removed for timer in gone]
    if not wanted and files.exists():
        actions.append(f"Deleted {files}.")
        if not module.check_mode:
            insist()
            shutil.rmtree(files)
    return {"changed": bool(actions), "actions": actions, "diff": diff}


def main() -> None:
    run(AnsibleModule(argument_spec=SPEC, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
