# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

from ansible_collections.slipway.deploy.plugins.lookup.spec_digest import digest


def test_the_same_value_gives_the_same_twelve_digits() -> None:
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert re.fullmatch(r"[0-9a-f]{12}", digest({"a": 1}))


def test_another_value_gives_others() -> None:
    assert len({digest(value) for value in ({}, {"a": 1}, {"a": 2}, {"a": "1"}, [1])}) == 5
