# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of the ledger in the columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.history import row

DOCUMENTATION = r"""
name: run_row
author: The Slipway contributors
version_added: 0.1.0
short_description: A record of the ledger as the row of a table
description:
  - Returns the record's number, time (UTC), verb, who ran it and from where, release, revision, number of migrations,
    backup, seconds and outcome, each as a text. What a record does not have is C(-).
options:
  _input:
    description: A record of M(slipway.deploy.deployment_info).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the runs
  slipway.deploy.show:
    columns: [run, when, verb, who, from, release, revision, migrations, backup, seconds, outcome]
    rows: "{{ found.records | map('slipway.deploy.run_row') }}"
"""

RETURN = r"""
_value:
  description: The texts.
  type: list
  elements: str
"""


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[[Mapping[str, Any]], list[str]]]:
        """Its function, by its name."""
        return {"run_row": row}
