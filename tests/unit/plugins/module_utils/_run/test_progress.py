# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a step has come, in a file of which no half is read, and nothing where nobody asked."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from support.orphans import wait_until


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "progress"


def read(file: Path) -> dict[str, object]:
    found = json.loads(file.read_text())
    assert found.pop("seconds") >= 0
    return dict(found)


def test_a_note_is_one_object_and_goes_with_the_module(file: Path) -> None:
    with progress.written_to(str(file)):
        progress.tell("dumping", 10, 500, "B")
        assert file.stat().st_mode & 0o777 == 0o600
        assert read(file) == {"step": "dumping", "done": 10, "total": 500, "unit": "B"}
    assert not file.exists()


def test_of_many_notes_few_are_written_but_the_first_of_a_step_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with progress.written_to(str(file)):
        monkeypatch.setattr(progress, "EVERY", 60.0)
        for done in range(1000):
            progress.tell("dumping", done)
        assert read(file)["done"] == 0
        progress.tell("restoring", 7)
        assert read(file) == {"step": "restoring", "done": 7, "total": 0, "unit": ""}
        monkeypatch.setattr(progress, "EVERY", 0.0)
        progress.tell("restoring", 8)
        assert read(file)["done"] == 8


def test_a_longer_note_leaves_nothing_of_itself(file: Path) -> None:
    with progress.written_to(str(file)):
        progress.tell("a" * 300)
        progress.tell("b")
        assert read(file)["step"] == "b"


@pytest.mark.parametrize("there", ["a file", "a link"])
def test_what_is_there_already_is_not_written_to(file: Path, there: str) -> None:
    kept = file.with_name("kept")
    kept.write_text("mine")
    (file.write_text("mine") if there == "a file" else file.symlink_to(kept))
    with progress.written_to(str(file)):
        progress.tell("dumping", 1)
    assert (file.read_text(), kept.read_text()) == ("mine", "mine")


def test_where_nobody_asked_nothing_is_measured(file: Path) -> None:
    asked: list[int] = []
    with progress.written_to(""), progress.measured("dumping", lambda: len(asked)):
        progress.tell("dumping", 1)
        time.sleep(2 * progress.EVERY)
    assert not file.exists()


def test_what_is_measured_is_told_until_the_end_and_more_than_expected_has_no_total(file: Path) -> None:
    sizes = iter([10.0, 900.0])
    with progress.written_to(str(file)), progress.measured("dumping", lambda: next(sizes), 500):
        assert read(file)["total"] == 500
        wait_until(lambda: read(file)["done"] == 900)
        time.sleep(1.5 * progress.EVERY)  # after two it can't be measured any more, which is no matter
        assert read(file) == {"step": "dumping", "done": 900, "total": 0, "unit": "B"}
