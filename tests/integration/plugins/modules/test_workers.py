# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``workers``, with processes: what it starts and stops, and that a second run changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from support.modules import run_module
from support.workers import SECRET, Site, serving

pytestmark = pytest.mark.once


site = pytest.fixture(scope="module")(serving)


def test_workers_are_started_and_a_second_run_changes_nothing(site: Site) -> None:
    wanted = {"mailer": {"command": ["sleep", "600"], "count": 2}, "clock": {"command": ["sleep", "601"]}}
    checked = site.work(check=True, **wanted)
    assert (checked["changed"], len(checked["actions"]), site.running()) == (True, 3, {})
    done = site.work(**wanted)
    assert done["actions"] == checked["actions"]
    assert sorted(name.split("-")[0] for name in site.running()) == ["clock", "mailer", "mailer"]
    for pid in site.running().values():
        assert f"PASSWORD={SECRET}" in Path(f"/proc/{pid}/environ").read_text()
        assert os.readlink(f"/proc/{pid}/cwd") == str(site.home)
    before = site.running()
    assert not site.work(check=True, **wanted)["changed"]
    assert not site.work(**wanted)["changed"]
    assert site.running() == before


def test_one_that_has_ended_is_started_again_and_one_that_is_not_wanted_ends(site: Site) -> None:
    wanted = {"mailer": {"command": ["sleep", "600"], "count": 2}}
    name, pid = next((name, pid) for name, pid in site.running().items() if name.startswith("mailer"))
    os.kill(pid, 9)
    assert wait_until(lambda: name not in site.running(), 10)
    done = site.work(**wanted)
    assert f"Started worker {name}." in done["actions"]
    assert sorted(each.split("-")[0] for each in site.running()) == ["mailer", "mailer"]
    assert site.work()["changed"]
    assert site.running() == {}
    assert not (site.home / "workers").exists()
    assert not site.work()["changed"]


def test_without_a_release_there_is_nothing_to_run_them_with(tmp_path: Path) -> None:
    given = {"processes": {"mailer": {"command": ["true"]}}, "directory": str(tmp_path)}
    said = run_module("workers", given)["msg"]
    assert said == "No release runs here, so that there is nothing to run workers with: deploy first."
