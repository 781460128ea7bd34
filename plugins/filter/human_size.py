# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as the rest of Slipway writes them, for what playbooks print."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.slipway.deploy.plugins.module_utils._text import human

DOCUMENTATION = r"""
name: human_size
author: The Slipway contributors
version_added: 0.1.0
short_description: A number of bytes as a person would say it
description:
  - Returns a number of bytes with its unit, by thousands, such as C(107 kB), as messages of this collection have it.
options:
  _input:
    description: Bytes.
    type: int
    required: true
"""

EXAMPLES = r"""
- name: Show the size of a backup
  ansible.builtin.debug:
    msg: "{{ found.backups[0].size | slipway.deploy.human_size }}"
"""

RETURN = r"""
_value:
  description: The size.
  type: str
"""


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[[float], str]]:
        """Its function, by its name."""
        return {"human_size": human}
