# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, sizes and lists as a person reads them."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, duration, human, listed


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (7_453_719, "7.5 MB"), (312_000_000, "312 MB"), (1_500_000_000_000, "1.5 TB")],
)
def test_human(size: int, text: str) -> None:
    assert human(size) == text


def test_words() -> None:
    assert (counted(1, "row"), counted(1234, "row")) == ("1 row", "1,234 rows")
    assert listed(["a", "b", "c"], 2) == "a; b; and 1 more"


@pytest.mark.parametrize(
    ("most", "text"), [(3, "a; b; c"), (5, "a; b; c"), (1, "a; and 2 more"), (2, "a; b; and 1 more")]
)
def test_a_list_says_what_it_leaves_out(most: int, text: str) -> None:
    assert listed(["a", "b", "c"], most) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_000_000, "1,000,000 rows")]
)
def test_counted(number: int, text: str) -> None:
    assert counted(number, "row") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (0.42, "0.4 s"), (45, "45 s"), (99, "99 s"), (130, "2.2 min"), (3_600, "60 min"),
        (7_200, "2.0 h"), (86_400, "24 h"), (172_800, "2.0 days"), (1_728_000, "20 days"), (1e9, "11,574 days"),
    ],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
