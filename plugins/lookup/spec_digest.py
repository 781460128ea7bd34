# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup ``spec_digest``."""

from __future__ import annotations

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.deploy.plugins.module_utils._release.spec import digest

DOCUMENTATION = r"""
name: spec_digest
short_description: Short name for a specification that may hold secrets
version_added: 0.1.0
author: The Slipway contributors
description:
  - Gives 12 hexadecimal digits that stand for a value such as the options of a container. The same value gives the same
    digits, so that a thing can be named after what it is made from.
  - The digest is a slow one (scrypt), since it becomes visible as a name and the value may hold a password.
options:
  _terms:
    description: Values of any type that JSON can express.
    required: true
    type: list
    elements: raw
"""

EXAMPLES = r"""
- name: Name the container after all that it is made from
  ansible.builtin.set_fact:
    container: "shop-{{ lookup('slipway.deploy.spec_digest', {'image': image, 'env': env}) }}"
"""

RETURN = r"""
_raw:
  description: One digest for each value.
  type: list
  elements: str
  sample: ["9b0d44c1f2aa"]
"""


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        return [digest(term) for term in terms]
