# SPDX-License-Identifier: GPL-3.0-or-later
"""Two things at a time: both results, either's error, and neither left alone."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._run.beside import beside


def test_both_are_done_at_the_same_time() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> int:
        begun.set()
        assert go_on.wait(60)
        return 7

    with beside(work, begun.clear) as result:
        assert begun.wait(60)
        go_on.set()
    assert result.result() == 7
    assert begun.is_set()  # nothing was to be stopped


def test_what_the_work_raises_is_raised_when_the_block_is_done() -> None:
    done = []
    with pytest.raises(ValueError, match="bad luck"), beside(lambda: int("bad luck"), done.clear):
        done.append("the block")
    assert done == ["the block"]


def test_what_the_block_raises_stops_the_work_and_counts_more() -> None:
    stop = threading.Event()

    def work() -> None:
        assert stop.wait(60)
        raise ValueError("stopped")

    with pytest.raises(KeyError, match="block"), beside(work, stop.set) as result:
        raise KeyError("block")
    assert isinstance(result.exception(0), ValueError)


@pytest.mark.parametrize(
    ("error", "counts"), [(KeyError("block"), ValueError), (KeyboardInterrupt(), KeyboardInterrupt)]
)
def test_what_the_work_raised_before_counts_more_but_not_than_an_interruption(
    error: BaseException, counts: type[BaseException]
) -> None:
    def block() -> None:
        with beside(lambda: int("bad luck"), str) as result:
            assert result.exception(60)
            raise error

    with pytest.raises(counts):
        block()


def test_the_progress_is_the_block_s(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    with progress.written_to(str(file)):
        with beside(lambda: progress.tell("reading", 1), str) as result:
            progress.tell("dumping", 2)
            result.result()
        assert json.loads(file.read_text())["step"] == "dumping"
