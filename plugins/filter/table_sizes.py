# SPDX-License-Identifier: GPL-3.0-or-later
"""Each table with its rows and its size, for what playbooks show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._text import human

DOCUMENTATION = r"""
name: table_sizes
author: The Slipway contributors
version_added: 0.1.0
short_description: Each table with its rows and its size
description:
  - Returns a row for each table that M(slipway.deploy.schema_info) found. An estimate of its rows begins with C(~).
options:
  _input:
    description: The tables, as M(slipway.deploy.schema_info) returns them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the tables
  slipway.deploy.show:
    columns: [table, {name: rows, align: right}, {name: size, align: right}]
    rows: "{{ found.schema.tables | slipway.deploy.table_sizes }}"
"""

RETURN = r"""
_value:
  description: The rows, each a name, a number of rows, and a size.
  type: list
  elements: list
"""


def table_sizes(tables: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    """The rows ``[name, rows, size]``; ``?`` where the rows are not known."""
    return [[f"{table['schema']}.{table['name']}", _rows(table), human(table["bytes"])] for table in tables]


def _rows(table: Mapping[str, Any]) -> str:
    if table["hidden"]:
        return "?"
    return f"{'' if table['exact'] else '~'}{table['rows']:,}"


class FilterModule:
    """The filter."""

    def filters(self) -> dict[str, Callable[[Iterable[Mapping[str, Any]]], list[list[Any]]]]:
        """Its function, by its name."""
        return {"table_sizes": table_sizes}
