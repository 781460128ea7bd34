#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The module ``certificate_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: certificate_info
author: The Slipway contributors
short_description: From when until when a certificate on a host is valid
version_added: 0.1.0
description:
  - Reads a file with certificates in PEM format. Writes nothing. That there is none is an answer, and no failure.
extends_documentation_fragment:
  - slipway.deploy.attributes
  - slipway.deploy.attributes.info_module
options:
  path:
    description: The file. Its first certificate counts.
    type: path
    required: true
requirements:
  - the command C(openssl) on the host
"""

EXAMPLES = r"""
- name: See until when it is valid
  slipway.deploy.certificate_info:
    path: /var/lib/slipway/entry/config/certificates/shop-prod.pem
  register: found
"""

RETURN = r"""
begins:
  description: From when on it is valid, in seconds since 1970.
  returned: when there is a certificate
  type: float
ends:
  description: Until when, likewise.
  returned: when there is a certificate
  type: float
problem:
  description: Why it is not known, in a sentence.
  returned: when there is no certificate that can be read
  type: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.deploy.plugins.module_utils._certificate import lifetime
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._module import run


def look(module: AnsibleModule) -> dict[str, Any]:
    path = module.params["path"]
    try:
        found = lifetime.of(read(path))
    except SlipwayError as error:
        return {"changed": False, "problem": str(error)}
    if found is None:
        return {"changed": False, "problem": f"There is no certificate in {path}: deploy first."}
    return {"changed": False, **asdict(found)}


def main() -> None:
    run(AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True), look)


if __name__ == "__main__":
    main()
