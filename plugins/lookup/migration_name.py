# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup ``migration_name``."""

from __future__ import annotations

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._wanted.new_file import check_name, existing

DOCUMENTATION = r"""
name: migration_name
short_description: Why a new migration can't have a name
version_added: 0.1.0
author: The Slipway contributors
description:
  - Gives a sentence for each name that a new migration can't have, and an empty text for one that it can.
options:
  _terms:
    description: Names, without a time stamp.
    required: true
    type: list
    elements: str
  path:
    description: Directory on the controller that holds the migrations.
    required: true
    type: path
"""

EXAMPLES = r"""
- name: Insist on a name that can be
  ansible.builtin.assert:
    that: not lookup('slipway.deploy.migration_name', name, path='migrations')
"""

RETURN = r"""
_raw:
  description: What is wrong with each name.
  type: list
  elements: str
"""


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        names = existing(str(self.get_option("path")))
        return [problem(str(term), names) for term in terms]


def problem(name: str, names: list[str]) -> str:
    """What is wrong with a name beside those that are there; empty where nothing is."""
    try:
        check_name(name, names)
    except SlipwayError as error:
        return str(error)
    return ""
