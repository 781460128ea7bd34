# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled commands as processes like the one that serves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release import service
from ansible_collections.slipway.deploy.plugins.module_utils._release.command_start import NOT_STARTED, AsProcesses
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process as Running
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import Process
from support.workers import Site, serving

pytestmark = pytest.mark.once

site = pytest.fixture(scope="module")(serving)


@pytest.fixture
def files(site: Site) -> Iterator[Path]:
    path = site.home / "commands"
    path.mkdir(exist_ok=True)
    yield path
    for file in path.iterdir():
        file.unlink()


def test_what_it_writes_is_kept_from_run_to_run(site: Site, files: Path) -> None:
    where = AsProcesses(site.home, files)
    for _ in range(2):
        assert where.run(Process("cleanup", ["sh", "-c", "echo $RELEASE in $PWD; exit 4"])) == 4
    assert (files / "cleanup-scheduled-runs.log").read_text() == f"one in {site.home}\n" * 2
    assert not where.works("cleanup")


def test_one_that_cannot_be_started_and_one_that_a_signal_ends(site: Site, files: Path) -> None:
    where = AsProcesses(site.home, files)
    assert where.run(Process("cleanup", ["no-such-program"])) == NOT_STARTED
    assert (files / "cleanup-scheduled-runs.log").read_text().startswith("no-such-program can't be started: ")
    assert where.run(Process("cleanup", ["sh", "-c", "kill -9 $$"])) == 128 + 9


def test_one_that_is_wanted_no_longer_is_stopped_and_nothing_is_left_of_it(site: Site, files: Path) -> None:
    where = AsProcesses(site.home, files)
    where.run(Process("cleanup", ["echo", "done"]))
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        running = Running(child.pid, service.started(child.pid) or "", 0)
        (files / "cleanup.json").write_text(json.dumps(asdict(running)))
        assert where.works("cleanup")
        where.remove("cleanup", 5)
        assert child.wait(10) == -15
    assert list(files.iterdir()) == []
    where.remove("cleanup", 5)
