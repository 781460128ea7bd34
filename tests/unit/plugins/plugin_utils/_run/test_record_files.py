# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record_files import forget, page_of, stem, write

RUN = {"started": "2026-01-02T03:04:05+00:00", "verb": "deploy", "run": {"pid": 4711}}


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (RUN, "20260102T030405Z-deploy-4711"),
        ({**RUN, "started": "", "finished": "2026-01-02T03:04:59+00:00"}, "20260102T030459Z-deploy-4711"),
        ({**RUN, "verb": "../../etc"}, "20260102T030405Z-______etc-4711"),
        ({}, "Z--0"),
    ],
)
def test_the_name_of_a_runs_files(record: dict[str, Any], name: str) -> None:
    assert stem(record) == name


def test_both_files_are_for_nobody_else(tmp_path: Path) -> None:
    home = tmp_path / "a" / "runs"
    assert page_of(RUN, str(home)) == ""
    place = write(RUN, "<p>é", home)
    assert (home.stat().st_mode & 0o777, place.stat().st_mode & 0o777) == (0o700, 0o600)
    assert place.read_text() == "<p>é"
    record = home / "20260102T030405Z-deploy-4711.json"
    assert (json.loads(record.read_text()), record.stat().st_mode & 0o777) == (RUN, 0o600)
    assert page_of(RUN, str(home)) == str(place)
    assert page_of(RUN, "") == ""


def test_what_is_of_runs_long_past_goes_and_nothing_else(tmp_path: Path) -> None:
    endings = (".json", ".html", ".intoto.json", ".intoto.json.sig")
    for minute in range(4):
        for ending in endings:
            (tmp_path / f"20260102T03{minute:02}05Z-deploy-{9 - minute}{ending}").touch()
    others = ["20260102T030005Z", "key.pub", "notes.json"]
    for name in others:
        (tmp_path / name).touch()
    forget(tmp_path, 4)
    assert len(list(tmp_path.iterdir())) == 16 + len(others)
    forget(tmp_path, 2)
    left = [f"20260102T03{minute:02}05Z-deploy-{9 - minute}{ending}" for minute in (2, 3) for ending in endings]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*left, *others])
