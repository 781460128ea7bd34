# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables say sizes as messages do."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.filter.human_size import FilterModule


@pytest.mark.parametrize(("size", "said"), [(0, "0 B"), (107_498, "107 kB"), (8_800_000, "8.8 MB")])
def test_a_size(size: int, said: str) -> None:
    assert FilterModule().filters()["human_size"](size) == said
