# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a module has come, in words."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.progress import shown


@pytest.mark.parametrize(
    ("step", "done", "total", "unit", "seconds", "said"),
    [
        ("dumping", 0, 0, "B", 0.0, "dumping"),
        ("dumping", 120_000_000, 0, "B", 4.0, "dumping, 120 MB, 30 MB/s"),
        ("dumping", 90_000_000, 270_000_000, "B", 3.0, "dumping 33 %, 90 MB of 270 MB, 30 MB/s, 6.0 s left"),
        ("dumping", 270_000_000, 270_000_000, "B", 9.0, "dumping 100 %, 270 MB of 270 MB, 30 MB/s"),
        ("comparing", 1200, 2000, "tables", 6.0, "comparing 60 %, 1,200 of 2,000 tables, 4.0 s left"),
        ("comparing", 0, 2000, "tables", 6.0, "comparing 0 %"),
        ("reading", 7, 0, "tables", 6.0, "reading, 7 tables"),
        ("dumping", 5_000_000, 270_000_000, "B", 0.2, "dumping 1 %, 5.0 MB of 270 MB, 25 MB/s"),
    ],
)
def test_a_note(step: str, done: int, total: int, unit: str, seconds: float, said: str) -> None:
    note = {"step": step, "done": done, "total": total, "unit": unit, "seconds": seconds}
    assert shown(note) == said
