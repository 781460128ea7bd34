# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._page.timeline import timeline


def phase(name: str, seconds: float, second: int | None = None) -> dict[str, Any]:
    started = "" if second is None else f"2026-01-02T03:04:{second:02}.000+00:00"
    return {"name": name, "host": "db", "status": "ok", "seconds": seconds, "started": started}


@pytest.mark.parametrize(
    ("phases", "bars", "seconds"),
    [
        ([], [], 0),
        ([phase("a", 1, 10), phase("b", 3, 12)], [("a", 0, 0, 20), ("b", 2, 40, 60)], 5),
        ([phase("b", 3, 12), phase("a", 1, 10)], [("a", 0, 0, 20), ("b", 2, 40, 60)], 5),
        ([phase("one", 4, 10), phase("two", 2, 10)], [("one", 0, 0, 100), ("two", 0, 0, 50)], 4),
        ([phase("old", 1), phase("older", 3)], [("old", 0, 0, 25), ("older", 1, 25, 75)], 4),
        ([phase("nothing", 0, 10)], [("nothing", 0, 0, 0.4)], 0),
        ([phase("a", 10, 0), phase("end", 0, 10)], [("a", 0, 0, 100), ("end", 10, 99.6, 0.4)], 10),
    ],
)
def test_where_the_bars_are(phases: list[dict[str, Any]], bars: list[tuple[str, float]], seconds: float) -> None:
    found = timeline(phases)
    assert [(bar.name, bar.begins, bar.left, bar.width) for bar in found.bars] == bars
    assert found.seconds == seconds
