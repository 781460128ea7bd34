# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that fit a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import plain
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.table import Column, table, text_of
from hypothesis import given
from hypothesis import strategies as st

COLUMNS = ["name", {"name": "rows", "align": "right"}, {"name": "state", "styles": {"proved": "green"}}, "why"]
ROWS = [["first", 1200, "proved", None], ["b", 3, "not", "its checksum is not what the manifest says"]]


def drawn(columns: list[Any], rows: list[list[Any]], width: int | None = None) -> list[str]:
    return [plain(line) for line in table([Column.parse(column) for column in columns], rows, width)]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (
            None,
            [
                "  name    rows  state   why",
                "  first  1,200  proved",
                "  b          3  not     its checksum is not what the manifest says",
            ],
        ),
        (
            50,
            [
                "  name    rows  state   why",
                "  first  1,200  proved",
                "  b          3  not     its checksum is not what",
                "                        the manifest says",
            ],
        ),
    ],
)
def test_columns_are_as_wide_as_what_stands_in_them(width: int | None, lines: list[str]) -> None:
    assert drawn(COLUMNS, ROWS, width) == lines


def test_words_are_broken_only_where_nothing_else_helps() -> None:
    rows = [["2026-11-26 15:05", "succeeded", "a long reason that takes more room"]]
    assert drawn(["when", "outcome", "why"], rows, 40) == [
        "  when          outcome    why",
        "  2026-11-26    succeeded  a long reason",
        "  15:05                    that takes",
        "                           more room",
    ]
    assert drawn(["when", "outcome", "why"], rows, 28)[1:3] == [
        "  2026-11-  succeede  a long",
        "  26 15:05  d         reason",
    ]


def test_the_heading_is_bold_and_a_cell_has_the_style_of_its_text() -> None:
    heading, first, _second = table([Column.parse(column) for column in COLUMNS], ROWS)
    assert {style for _text, style in heading} == {"bold"}
    assert [style for _text, style in first] == ["", "", "green"]


def test_lines_of_a_cell_stay_lines() -> None:
    assert drawn(["a", "b"], [["one\ntwo", 1]]) == ["  a    b", "  one  1", "  two"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "yes"), (False, "no"), (1234567, "1,234,567"), (1.5, "1.5"), ("a", "a")]
)
def test_values(value: object, text: str) -> None:
    assert text_of(value) == text


WORDS = st.text("abc ", max_size=60)


@given(st.lists(st.lists(WORDS, min_size=3, max_size=3), min_size=1, max_size=5), st.integers(40, 120))
def test_no_line_is_wider_than_the_terminal_and_no_letter_is_lost(rows: list[list[str]], width: int) -> None:
    lines = drawn(["one", "two", "three"], rows, width)
    assert max(map(len, lines)) <= width
    letters = "".join(sorted("".join(cell for row in rows for cell in row).replace(" ", "")))
    assert "".join(sorted("".join(lines[1:]).replace(" ", ""))) == letters
