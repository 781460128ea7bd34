# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/terminal.md shows fits a terminal."""

from __future__ import annotations

import re

from support.release import ROOT

BLOCKS = re.findall(r"^```text\n(.*?)^```$", (ROOT / "docs/terminal.md").read_text(), re.MULTILINE | re.DOTALL)


def test_every_run_fits_a_terminal_of_80_columns() -> None:
    assert len(BLOCKS) >= 6
    assert [line for block in BLOCKS for line in block.splitlines() if len(line) > 80] == []


def test_a_deploy_that_goes_well_fits_a_screen() -> None:
    deploys = [block for block in BLOCKS if "deploy succeeded\n" in block]
    assert len(deploys) >= 2
    assert max(len(block.splitlines()) for block in deploys) <= 25
