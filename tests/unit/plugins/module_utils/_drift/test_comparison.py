# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences between two catalogues, as sentences."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import compare
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue

DIFFERENCES = [
    ({}, {}, []),
    ({"table a": "x"}, {"table a": "x"}, []),
    ({}, {"table a": ""}, ["table a was added by hand"]),
    ({}, {"index i": "CREATE INDEX"}, ["index i was added by hand: CREATE INDEX"]),
    ({"table a": ""}, {}, ["table a is missing"]),
    ({"column a.x": "int"}, {"column a.x": "text"}, ["column a.x was changed by hand: text, not int"]),
    ({"b": "1", "a": "1"}, {}, ["a is missing: 1", "b is missing: 1"]),
]


@pytest.mark.parametrize(("expected", "found", "sentences"), DIFFERENCES)
def test_compare(expected: Catalogue, found: Catalogue, sentences: list[str]) -> None:
    assert [str(each) for each in compare(expected, found)] == sentences
