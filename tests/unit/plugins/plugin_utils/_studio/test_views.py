# SPDX-License-Identifier: GPL-3.0-or-later
"""What a form changes. The pages are in test_serve.py of the integration tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.views import ESCAPED, WILD, unchanged

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
TYPED = datetime(2026, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("before", "typed", "same"),
    [
        (1, 1, True), (1, 2, False), (None, "", True), ("", None, True), ("", "x", False), ("x", "", False),
        (0, None, False), (Decimal("1.50"), Decimal("1.5"), True), (AT, TYPED, True),
        (AT, TYPED.replace(tzinfo=UTC), True), (AT, TYPED.replace(tzinfo=timezone(timedelta(hours=1))), False),
        (AT, TYPED + timedelta(seconds=1), False), (None, TYPED, False), ({"a": 1}, {"a": 1}, True),
    ],
)  # fmt: skip
def test_unchanged(before: object, typed: object, same: bool) -> None:
    assert unchanged(before, typed) is same


def test_what_is_searched_stands_for_itself() -> None:
    assert WILD.sub(ESCAPED, r"50%_\ x") == r"50\%\_\\ x"
