# SPDX-License-Identifier: GPL-3.0-or-later
"""Each backup with its state, for what playbooks show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._text import human

DOCUMENTATION = r"""
name: backup_states
author: The Slipway contributors
version_added: 0.1.0
short_description: Each backup with its state
description:
  - Returns a row for each backup that M(slipway.deploy.backup_info) found, and for each dump that has no manifest.
options:
  _input:
    description: The result of M(slipway.deploy.backup_info).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the backups
  slipway.deploy.show:
    columns: [backup, where, {name: size, align: right}, {name: rows, align: right}, state]
    rows: "{{ found | slipway.deploy.backup_states }}"
"""

RETURN = r"""
_value:
  description: The rows, each a name, where it is, a size, a number of rows, and whether the backup is proved.
  type: list
  elements: list
"""

NO_MANIFEST = "no backup: it has no manifest, so nothing vouches for it"


def backup_states(found: Mapping[str, Any]) -> list[list[Any]]:
    """The rows ``[name, where, size, rows, state]``; what is no backup is at the end."""
    backups = [
        [
            backup["name"],
            backup.get("where", "here"),
            human(backup.get("size") or 0),
            backup.get("rows"),
            _state(backup),
        ]
        for backup in found["backups"]
    ]
    return backups + [[name, "here", "", None, NO_MANIFEST] for name in found["without_manifest"]]


def _state(backup: Mapping[str, Any]) -> str:
    if not backup["proved"]:
        return str(backup.get("problem") or "not proved")
    unproved = backup.get("unproved")
    return f"proved, not: {'; '.join(unproved)}" if unproved else "proved"


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[[Mapping[str, Any]], list[list[Any]]]]:
        """Its function, by its name."""
        return {"backup_states": backup_states}
