# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress in a row's logs: read back as written, and never mistaken for what another tool wrote there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script, Statement
from ansible_collections.slipway.deploy.plugins.module_utils._migration.progress import Progress

SCRIPT = Script("f", "SELECT 1; SELECT 2", (Statement(0, 8), Statement(10, 18)))


def test_it_comes_back_as_it_went() -> None:
    progress = Progress(1, "abc", True, (16384, 16385), 'an "error"\nof two lines')
    assert Progress.load(progress.dump(3)) == progress
    assert progress.dump(3).startswith(
        "Slipway has finished 1 of 3 statements of this file and goes on from there when "
    )


OTHERS = [
    None,
    "",
    "ERROR: boom",
    '{"done": 1}',
    "Slipway has finished nothing",
    "Slipway has finished 1 of 2 statements {cut off}",
    'Slipway has finished 1 of 2 statements {"done": 1, "digest": "", "known": [], "of a later version": 1}',
]


@pytest.mark.parametrize("logs", OTHERS)
def test_other_logs_are_none(logs: str | None) -> None:
    assert Progress.load(logs) is None


@pytest.mark.parametrize("done", [0, 1, 2])
def test_what_is_not_done_may_be_edited(done: int) -> None:
    progress = Progress.of(SCRIPT, done)
    assert progress.fits(SCRIPT)
    assert progress.fits(replace(SCRIPT, text="SELECT 1; SELECT 3")) == (done < 2)
    assert progress.fits(replace(SCRIPT, text="SELECT 3; SELECT 2")) == (done < 1)
    assert progress.fits(replace(SCRIPT, text="", statements=())) == (done < 1)
