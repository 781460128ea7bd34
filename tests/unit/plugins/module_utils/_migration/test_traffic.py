# SPDX-License-Identifier: GPL-3.0-or-later
"""What two samples of a live database's statistics come to."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import Use
from ansible_collections.slipway.deploy.plugins.module_utils._migration.traffic import Sample, uses

FIRST = Sample(100.0, {"t": (1000, 50)})
USES = [
    (Sample(104.0, {"t": (1030, 60)}), {"t": 8192}, {"t": Use(8192, 10.0, 2.5)}),
    (Sample(100.9, {"t": (1030, 60)}), {"t": 8192}, {"t": Use(8192)}),  # too short to say anything
    (Sample(104.0, {"t": (1030, 60)}), {"t": 8192, "gone": None}, {"t": Use(8192, 10.0, 2.5)}),
    (Sample(104.0, {"t": (1030, 60), "new": (5, 5)}), {"new": 1}, {"new": Use(1)}),
    (Sample(104.0, {"t": (8, 0)}), {"t": 8192}, {"t": Use(8192, 0.0, 0.0)}),  # the statistics were reset
]


@pytest.mark.parametrize(("second", "sizes", "found"), USES)
def test_uses(second: Sample, sizes: dict[str, int | None], found: dict[str, Use]) -> None:
    assert uses(FIRST, second, sizes) == found
