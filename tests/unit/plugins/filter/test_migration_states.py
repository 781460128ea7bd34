# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration's state is the one that matters most."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.filter.migration_states import FilterModule


def test_states() -> None:
    states = FilterModule().filters()["migration_states"]
    found = {"applied": ["2_b", "1_a", "4_d"], "pending": ["3_c"], "out_of_order": ["3_c"], "edited": ["4_d"]}
    assert states(found) == [["1_a", "applied"], ["2_b", "applied"], ["3_c", "out of order"], ["4_d", "edited"]]
    assert states({}) == []
