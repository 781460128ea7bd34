# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of the ledger in full."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.rehearsal_report import lines
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.history import details

DOCUMENTATION = r"""
name: run_details
author: The Slipway contributors
version_added: 0.1.0
short_description: A record of the ledger as lines of text
description:
  - Returns all that the record says, a line for each thing, with the migrations, what was seen of them in the
    rehearsal, the phases and the error below each other.
options:
  _input:
    description: A record of M(slipway.deploy.deployment_info).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a run
  slipway.deploy.show:
    lines: "{{ found.records | first | slipway.deploy.run_details }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""


def run_details(record: Mapping[str, Any]) -> list[str]:
    """The lines of one record."""
    return details(record, lines(record.get("rehearsal", [])))


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[[Mapping[str, Any]], list[str]]]:
        """Its function, by its name."""
        return {"run_details": run_details}
