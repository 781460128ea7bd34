# SPDX-License-Identifier: GPL-3.0-or-later
"""One run in full."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.filter.run_details import FilterModule
from support.runs import RECORD


def test_the_lines_of_a_run() -> None:
    assert FilterModule().filters()["run_details"]({**RECORD.result(), "number": 3})[0] == "shop/test: run 3"
