# SPDX-License-Identifier: GPL-3.0-or-later
"""Boxes that don't cover each other, a line for each foreign key, and what refers to something to the right of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

from ansible_collections.slipway.deploy.plugins.plugin_utils._page.diagram import WIDTH, Diagram, diagram
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.schema_change import Column, Link, Table
from hypothesis import given
from hypothesis import strategies as st

ID = Column("id", "bigint key", True)


def table(name: str, *to: str, columns: int = 1) -> Table:
    more = tuple(Column(f"c{number}", "text", False) for number in range(1, columns))
    return Table(name, (ID, *more), tuple(Link(("id",), each) for each in to))


def places(found: Diagram) -> dict[str, float]:
    return {box.table.name: box.x for box in found.boxes}


def test_what_refers_stands_to_the_right() -> None:
    x = places(diagram([table("lines", "orders", "goods"), table("orders", "users"), table("users"), table("goods")]))
    assert x["users"] < x["orders"] < x["lines"]
    assert x["users"] == x["goods"]


def test_nothing_to_draw() -> None:
    assert diagram([]).boxes == ()


def test_a_reference_beyond_the_picture_has_no_line() -> None:
    assert diagram([table("a", "elsewhere.b")]).wires == ()


def test_a_long_table_is_cut_but_for_what_was_changed() -> None:
    long = table("long", columns=60)
    marked = replace(long, columns=(*long.columns[:-1], replace(long.columns[-1], mark="added")))
    [box] = diagram([marked]).boxes
    assert (len(box.rows), box.left_out, box.rows[-1].column.mark) == (24, 36, "added")
    [box] = diagram([replace(marked, columns=tuple(replace(each, mark="added") for each in long.columns))]).boxes
    assert (len(box.rows), box.left_out) == (60, 0)


def test_long_names_are_cut() -> None:
    [box] = diagram([Table("t" * 63, (Column("c" * 63, "timestamp with time zone null", False),), ())]).boxes
    assert len(box.name) <= 30
    assert len(box.rows[0].name) + len(box.rows[0].kind) <= 38


def test_circles() -> None:
    found = diagram([table("a", "b"), table("b", "c"), table("c", "a"), table("self", "self")])
    assert len(found.boxes) == len(found.wires) == 4


NAMES = [f"t{number}" for number in range(9)]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14), st.integers(1, 40))
def test_any_schema(pairs: list[tuple[str, str]], columns: int) -> None:
    to = {name: sorted({target for source, target in pairs if source == name}) for name in NAMES}
    found = diagram([table(name, *to[name], columns=columns) for name in NAMES])
    assert sorted(box.table.name for box in found.boxes) == NAMES
    assert len(found.wires) == sum(map(len, to.values()))
    for one, other in itertools.combinations(found.boxes, 2):
        apart = abs(one.x - other.x) >= WIDTH
        above, below = sorted((one, other), key=lambda box: box.y)
        assert apart or above.y + above.height <= below.y, (one.table.name, other.table.name)
    assert all(box.x + WIDTH <= found.width and box.y + box.height <= found.height for box in found.boxes)
