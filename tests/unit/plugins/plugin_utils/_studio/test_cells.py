# SPDX-License-Identifier: GPL-3.0-or-later
"""How values are shown."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.cells import WHOLE, plain, short, whole


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (b"\x00\xff", "\\x00ff"),
        (memoryview(b"a"), "\\x61"),
        (["a", None, 1], '["a", null, 1]'),
        ({"é": [date(2026, 1, 2)]}, '{"é": ["2026-01-02"]}'),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02 03:04:05.000006+00:00"),
        (Decimal("1.50"), "1.50"),
    ],
)
def test_plain(value: Any, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize(
    ("value", "html"),
    [
        (None, '<span class="null">NULL</span>'),
        ("", "<span></span>"),
        ("<b>&", "<span>&lt;b&gt;&amp;</span>"),
        ("two\nlines", "<span>two lines</span>"),
        ([1, 2], "<code>[1, 2]</code>"),
        (b"\x01" * 33, f'<code>\\x{"01" * 32}…</code> <span class="size">33 bytes</span>'),
        ("'" * 81, f"<span title='{'&#39;' * 81}'>{'&#39;' * 79}…</span>"),
    ],
)
def test_short(value: Any, html: str) -> None:
    assert short(value) == html


@pytest.mark.parametrize(
    ("value", "html"),
    [
        (None, '<span class="null">NULL</span>'),
        (5, "<span>5</span>"),
        ("a<b", "a&lt;b"),
        ("two\nlines", "<pre>two\nlines</pre>"),
        ({"a": 1}, "<pre>{\n  &#34;a&#34;: 1\n}</pre>"),
        ("x" * (WHOLE + 1), f"<pre>{'x' * WHOLE}…\n(100,001 characters)</pre>"),
    ],
)
def test_whole(value: Any, html: str) -> None:
    assert whole(value) == html
