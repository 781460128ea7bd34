# SPDX-License-Identifier: GPL-3.0-or-later
"""A row has a cell for each column that the table of runs has."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.slipway.deploy.plugins.filter.run_row import FilterModule
from support.runs import RECORD

HISTORY = Path(__file__).parents[4] / "playbooks" / "history.yml"


def test_the_table_of_runs() -> None:
    *_, play = yaml.safe_load(HISTORY.read_text())
    [columns] = [
        task["slipway.deploy.show"]["columns"]
        for task in play["tasks"]
        if "columns" in task.get("slipway.deploy.show", {})
    ]
    row = FilterModule().filters()["run_row"]({**RECORD.result(), "number": 3})
    assert len(row) == len(columns)
    assert row[0] == "3"
