# SPDX-License-Identifier: GPL-3.0-or-later
"""Each migration with its state, for what playbooks show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

DOCUMENTATION = r"""
name: migration_states
author: The Slipway contributors
version_added: 0.1.0
short_description: Each migration with its state
description:
  - Returns a row for each migration that M(slipway.deploy.migrations_info) found, by name, with what matters most of
    its states.
options:
  _input:
    description: The RV(slipway.deploy.migrations_info#module:migrations).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the migrations
  slipway.deploy.show:
    columns: [migration, state]
    rows: "{{ found.migrations | slipway.deploy.migration_states }}"
"""

RETURN = r"""
_value:
  description: The rows, each a name and its state.
  type: list
  elements: list
"""

# The last that a migration is in is its state.
STATES = ("applied", "pending", "rolled_back", "out_of_order", "edited", "edited_whitespace", "missing", "failed")


def migration_states(migrations: Mapping[str, Any]) -> list[list[str]]:
    """The rows ``[name, state]``, by name."""
    state = {name: each for each in STATES for name in migrations.get(each) or ()}
    return [[name, state[name].replace("_", " ")] for name in sorted(state)]


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[[Mapping[str, Any]], list[list[str]]]]:
        """Its function, by its name."""
        return {"migration_states": migration_states}
