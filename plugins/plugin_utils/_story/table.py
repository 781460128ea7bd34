# SPDX-License-Identifier: GPL-3.0-or-later
"""A table in text: columns as wide as what stands in them, narrowed and wrapped to what a terminal has."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import Line, Span

GAP = 2  # columns between two of the table's
INDENT = 2
LEAST = 8  # columns that one which is narrowed keeps


@dataclass(frozen=True)
class Column:
    """A column's name, whether its cells stand at its right, the style of cells by their text, and their key in a row.

    The key is the name where it is empty.
    """

    name: str
    right: bool = False
    styles: Mapping[str, str] = field(default_factory=dict)
    key: str = ""

    @classmethod
    def parse(cls, given: str | Mapping[str, Any]) -> Column:
        """From a name alone, or from ``{name, align: right, styles: {text: style}, key}``."""
        if isinstance(given, str):
            return cls(given)
        right = given.get("align") == "right"
        return cls(str(given["name"]), right, given.get("styles") or {}, str(given.get("key") or ""))

    def cell(self, row: Mapping[str, Any]) -> Any:
        """Its value in a row that is a dictionary; None where there is none."""
        return row.get(self.key or self.name)


def text_of(value: Any) -> str:
    """A cell's text: nothing for None, numbers with separators, yes and no."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def table(columns: Sequence[Column], rows: Sequence[Sequence[Any]], width: int | None = None) -> list[Line]:
    """The lines of a table with its heading, at most ``width`` columns wide where they can be narrowed to that."""
    cells = [[text_of(value) for value in row] for row in rows]
    widths = [
        max(len(column.name), *(max(map(len, row[number].split("\n"))) for row in cells), 0)
        for number, column in enumerate(columns)
    ]
    if width:
        words = [
            max(map(len, " ".join([column.name, *(row[number] for row in cells)]).split()), default=0)
            for number, column in enumerate(columns)
        ]
        room = width - INDENT - GAP * (len(columns) - 1)
        _narrow(widths, columns, room, words)
        _narrow(widths, columns, room, [LEAST] * len(columns))
    heading = _row(columns, widths, [column.name for column in columns], heading=True)
    return heading + [line for row in cells for line in _row(columns, widths, row)]


def _narrow(widths: list[int], columns: Sequence[Column], room: int, least: Sequence[int]) -> None:
    """Take from the widest column of text, until all fit or none has more than its ``least``."""
    while sum(widths) > room:
        able = [number for number, column in enumerate(columns) if not column.right and widths[number] > least[number]]
        if not able:
            return
        widths[max(able, key=lambda number: widths[number])] -= 1


def _row(columns: Sequence[Column], widths: Sequence[int], row: Sequence[str], *, heading: bool = False) -> list[Line]:
    wrapped = [
        [part for line in text.split("\n") for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""]]
        for text, width in zip(row, widths, strict=True)
    ]
    styles = ["bold" if heading else column.styles.get(text, "") for column, text in zip(columns, row, strict=True)]
    return [_line(columns, widths, styles, parts) for parts in zip_longest(*wrapped, fillvalue="")]


def _line(columns: Sequence[Column], widths: Sequence[int], styles: Sequence[str], parts: Sequence[str]) -> Line:
    """One line, without blanks at its end."""
    spans: list[Span] = []
    gap = " " * INDENT
    for column, width, style, part in zip(columns, widths, styles, parts, strict=True):
        padding = " " * (width - len(part))
        if column.right:
            gap += padding
        if part:
            spans.append((gap + part, style))
            gap = ""
        if not column.right:
            gap += padding
        gap += " " * GAP
    return tuple(spans)
