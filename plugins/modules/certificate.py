#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE)

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate
author: The Slipway contributors
short_description: Check a site's certificate, and bring it to where nginx in a container reads it
description:
  - Reads the certificate and its key on the controller, and sees that they belong together, name every one of
    O(domains), and are valid now. One that ends within 14 days is warned of.
  - With O(path) both go to the host, as one file that only nginx's user may read. nginx reads it at its next reload.
extends_documentation_fragment: [slipway.deploy.attributes, slipway.deploy.nginx_container]
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Half of what it writes is secret.
  idempotent:
    support: full
options:
  certificate:
    description:
      - File on the controller with the certificate and, after it, those that it is signed by, in PEM format, or that
        text itself.
    type: str
    required: true
  key:
    description:
      - File on the controller with the certificate's key in PEM format, or that text itself. A file may be encrypted
        with ansible-vault.
    type: str
    required: true
  domains:
    description: Domains that the certificate must name.
    type: list
    elements: str
    required: true
  path:
    description: File on the host. Empty to look at the certificate alone, without a connection.
    type: path
    default: ""
requirements:
  - cryptography on the controller, which Ansible needs as well
  - the command C(docker) on the host, and root
seealso:
  - module: slipway.deploy.acme_certificate
"""

EXAMPLES = r"""
- name: Bring the certificate
  slipway.deploy.certificate:
    certificate: "{{ inventory_dir }}/tls/shop.pem"
    key: "{{ vault_certificate_key }}"
    domains: [shop.example.com]
    path: /var/lib/slipway/shop/prod/frontend/config/certificate.pem
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
certificate:
  description: The certificate.
  type: dict
  returned: success
  contains:
    names: {description: The names in it., type: list, elements: str}
    expires: {description: Until when it is valid., type: str}
    days: {description: How many whole days that is., type: int}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.place import Reader, differs, write
from ansible_collections.slipway.deploy.plugins.module_utils._module import run
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


def work(module: AnsibleModule) -> dict[str, Any]:
    params, path = module.params, Path(module.params["path"])
    # In check mode no image is fetched to ask it.
    new = not path.exists()
    uid = 0 if new and module.check_mode else Reader(params["container"], params["image"], params["user"]).uid()
    changed = new or differs(path, params["content"], uid)
    if changed and not module.check_mode:
        insist()
        write(path, params["content"], uid)
    return {"changed": changed, "actions": [f"Wrote {path}."] if changed else []}


def main() -> None:
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True, "no_log": True},
            "container": text,
            "image": text,
            "user": text,
        },
        supports_check_mode=True,
    )
    run(module, work)


if __name__ == "__main__":
    main()
