# SPDX-License-Identifier: GPL-3.0-or-later
"""The one query for the catalogue, for each version of the server and both who ask."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import reading, statement

VERSIONS = (130000, 140000, 150000, 160000, 170000, 180000)


@pytest.mark.parametrize(("version", "dumped"), list(itertools.product(VERSIONS, (False, True))))
def test_nothing_is_left_to_be_filled_in(version: int, dumped: bool) -> None:
    query = statement(version, dumped)
    assert ":dumped" not in query
    assert "{" not in query.replace("{subscription}", "").replace("{extension,large object}", "")
    assert ("attcompression::text" in query) is (version >= 140000)
    assert ("order of columns in" in query) is dumped
    assert ("version of extension" in query) is not dumped


def test_what_is_read_alike_is_comparable() -> None:
    assert reading(160004) == reading(160014)
    different = [reading(version, dumped) for version in VERSIONS for dumped in (False, True)]
    assert len(set(different)) == len(different)
