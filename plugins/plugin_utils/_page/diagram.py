# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the tables of a schema stand in a picture of it, and how the lines go between them.

A table stands to the right of those that it refers to, so that one reads from what everything rests on to what rests on
it. Tables without a line to another stand in rows below. Lengths are in SVG's user units, at which a letter of the
picture's fixed-width font takes ``LETTER``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ansible_collections.slipway.deploy.plugins.plugin_utils._page.schema_change import Column, Link, Mark, Table

LETTER, LINE, HEAD = 7.3, 17, 26
WIDTH, GAP_X, GAP_Y, MARGIN = 300, 90, 26, 14
# What a picture of a table has room for; a column with a mark is always shown.
MOST_COLUMNS, MOST_LETTERS = 24, 38
ROUNDS = 4  # of putting each table beside those that it refers to
ALONE = 4  # tables without lines that stand in a row


@dataclass(frozen=True)
class Row:
    """A column in its table, with the text's baseline ``y`` and what of its name and its kind there is room for."""

    column: Column
    y: float
    name: str
    kind: str


@dataclass(frozen=True)
class Box:
    """A table; ``left_out`` is the number of its columns that are not shown."""

    table: Table
    x: float
    y: float
    height: float
    rows: tuple[Row, ...]
    left_out: int
    name: str


@dataclass(frozen=True)
class Wire:
    """A foreign key as the path of a line, and in words."""

    path: str
    mark: Mark
    words: str


@dataclass(frozen=True)
class Diagram:
    """The whole picture."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]


def diagram(tables: Sequence[Table]) -> Diagram:
    """The picture of these tables, the same for the same tables."""
    by_name = {table.name: table for table in tables}
    linked = {
        name for table in tables for name in _neighbours(table, by_name) | ({table.name} if table.links else set())
    }
    ranks = _ranks({name: by_name[name] for name in by_name if name in linked}, by_name)
    boxes: dict[str, Box] = {}
    for number, names in enumerate(_ordered(ranks, by_name)):
        y = float(MARGIN)
        for name in names:
            boxes[name] = _box(by_name[name], MARGIN + number * (WIDTH + GAP_X), y)
            y += boxes[name].height + GAP_Y
    below = max((box.y + box.height + GAP_Y for box in boxes.values()), default=float(MARGIN))
    alone = [table for table in tables if table.name not in linked]
    for start in range(0, len(alone), ALONE):
        row = [
            _box(table, MARGIN + number * (WIDTH + GAP_Y), below)
            for number, table in enumerate(alone[start : start + ALONE])
        ]
        boxes |= {box.table.name: box for box in row}
        below = max(box.y + box.height for box in row) + GAP_Y
    return Diagram(
        width=max((box.x + WIDTH for box in boxes.values()), default=0.0) + GAP_X / 2,
        height=max((box.y + box.height for box in boxes.values()), default=0.0) + MARGIN,
        boxes=tuple(boxes.values()),
        wires=tuple(
            _wire(boxes[table.name], link, boxes[link.table])
            for table in tables for link in table.links if link.table in boxes
        ),
    )  # fmt: skip


def _neighbours(table: Table, known: Mapping[str, Table]) -> set[str]:
    """The other tables that it refers to, so far as they are in the picture."""
    return {link.table for link in table.links if link.table in known and link.table != table.name}


def _ranks(tables: Mapping[str, Table], known: Mapping[str, Table]) -> dict[str, int]:
    """How far each stands to the right: beyond all that it refers to, where references go in no circle."""
    ranks: dict[str, int] = {}
    for first in sorted(tables):
        way: list[tuple[str, list[str]]] = [(first, sorted(_neighbours(tables[first], known)))]
        entered = {first}
        while way:
            name, left = way[-1]
            following = next((each for each in left if each not in ranks and each not in entered), None)
            if following is not None:
                entered.add(following)
                way.append((following, sorted(_neighbours(known[following], known))))
                continue
            way.pop()
            ranks.setdefault(
                name, 1 + max((ranks[each] for each in _neighbours(known[name], known) if each in ranks), default=-1)
            )
    return ranks


def _ordered(ranks: Mapping[str, int], known: Mapping[str, Table]) -> list[list[str]]:
    """The names of each rank from above to below, near to what they refer to and what refers to them."""
    order = [
        sorted(name for name in ranks if ranks[name] == rank) for rank in range(max(ranks.values(), default=-1) + 1)
    ]
    beside: dict[str, set[str]] = {name: set(_neighbours(known[name], known)) for name in ranks}
    for name in ranks:
        for other in _neighbours(known[name], known):
            beside[other].add(name)
    for _ in range(ROUNDS):
        place = {name: number / len(names) for names in order for number, name in enumerate(names)}
        order = [
            sorted(names, key=lambda name: (fmean([place[each] for each in beside[name]] or [place[name]]), name))
            for names in order
        ]
    return order


def _box(table: Table, x: float, y: float) -> Box:
    shown = list(table.columns)
    if len(shown) > MOST_COLUMNS:
        marked = [column for column in shown if column.mark]
        others = [column for column in shown if not column.mark][: max(0, MOST_COLUMNS - len(marked))]
        shown = [column for column in shown if column in marked or column in others]
    rows = []
    for number, column in enumerate(shown, 1):
        name = _cut(column.name, MOST_LETTERS - 12)
        rows.append(Row(column, y + HEAD + number * LINE - 4, name, _cut(column.kind, MOST_LETTERS - len(name) - 3)))
    left_out = len(table.columns) - len(shown)
    height = HEAD + (len(rows) + (1 if left_out else 0)) * LINE + 6
    return Box(table, x, y, height, tuple(rows), left_out, _cut(table.name, MOST_LETTERS - 8))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: max(0, most - 1)] + "…"


def _wire(source: Box, link: Link, target: Box) -> Wire:
    """From the first of the referring columns to the head of the table, around the boxes where both are in one rank."""
    rows = [row for row in source.rows if row.column.name in link.columns]
    y = rows[0].y - 4 if rows else source.y + HEAD / 2
    end = target.y + HEAD / 2
    if source.x > target.x:
        from_x, to_x = source.x, target.x + WIDTH
        middle = (from_x + to_x) / 2 if from_x - to_x <= GAP_X else from_x - GAP_X / 2
        path = f"M{from_x:g} {y:g} C{middle:g} {y:g} {to_x + GAP_X / 2:g} {end:g} {to_x:g} {end:g}"
    else:
        from_x, to_x = source.x + WIDTH, target.x + WIDTH
        out = max(from_x, to_x) + GAP_X * 0.45
        path = f"M{from_x:g} {y:g} C{out:g} {y:g} {out:g} {end:g} {to_x:g} {end:g}"
    mark: Mark = link.mark or (source.table.mark if source.table.mark in ("added", "removed") else "")
    return Wire(path, mark, f"{source.table.name} ({', '.join(link.columns)}) refers to {link.table}")
