# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the ledger with their pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import page_of

DOCUMENTATION = r"""
name: run_pages
author: The Slipway contributors
version_added: 0.1.0
short_description: Records of the ledger with the pages of their runs
description:
  - Gives each record C(page), the file that is the page of its run; empty where it is not on this controller.
positional: directory
options:
  _input:
    description: Records of M(slipway.deploy.deployment_info).
    type: list
    elements: dict
    required: true
  directory:
    description: The directory of the pages.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Show where the pages are
  slipway.deploy.show:
    lines: "{{ found.records | slipway.deploy.run_pages('/shop/runs') | map(attribute='page') | select | list }}"
"""

RETURN = r"""
_value:
  description: The records.
  type: list
  elements: dict
"""


def run_pages(records: Sequence[Mapping[str, Any]], directory: str) -> list[dict[str, Any]]:
    """The records, each with the path of its page."""
    return [{**record, "page": page_of(record, directory)} for record in records]


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[[Sequence[Mapping[str, Any]], str], list[dict[str, Any]]]]:
        """Its function, by its name."""
        return {"run_pages": run_pages}
