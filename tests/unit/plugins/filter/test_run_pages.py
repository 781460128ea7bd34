# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.deploy.plugins.filter.run_details import FilterModule as Details
from ansible_collections.slipway.deploy.plugins.filter.run_pages import FilterModule
from support.runs import RECORD, WHOLE


def test_each_run_has_its_page_if_it_is_here(tmp_path: Path) -> None:
    page = tmp_path / "20260102T030405Z-deploy-4711.html"
    page.touch()
    here, elsewhere = FilterModule().filters()["run_pages"]([WHOLE, RECORD.result()], str(tmp_path))
    assert here == {**WHOLE, "page": str(page)}
    assert elsewhere == {**RECORD.result(), "page": ""}
    [line] = [line for line in Details().filters()["run_details"]({**here, "number": 3}) if "  page " in line]
    assert line.split() == ["page", str(page)]
