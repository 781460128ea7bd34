# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that are processes lose no job, whatever is released."""

from __future__ import annotations

import sys

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from support.workers import BROKEN, WORKER, Site, serving, whole

pytestmark = pytest.mark.once


site = pytest.fixture(scope="module")(serving)


def test_an_exclusive_worker_finishes_its_job_before_the_next_release_has_one(site: Site) -> None:
    wanted = {"clock": {"command": site.command(WORKER), "exclusive": True}}
    site.work(**wanted)
    assert wait_until(lambda: "begins" in site.jobs.read_text(), 10)
    site.release("two")
    broken = site.work(clock={"command": ["false"], "exclusive": True})
    assert "What ran before still runs" in broken["msg"]
    assert len(site.running()) == 1
    site.work(**wanted)
    assert wait_until(lambda: "two begins" in site.jobs.read_text(), 10)
    site.work()
    lines = site.jobs.read_text().splitlines()
    assert whole(lines), lines
    assert {line.split()[0] for line in lines} == {"one", "two"}


def test_one_that_does_not_stay_is_told_with_its_log_and_the_old_one_runs_on(site: Site) -> None:
    site.work(mailer={"command": ["sleep", "600"]})
    before = site.running()
    failed = site.work(mailer={"command": [sys.executable, "-c", BROKEN]})
    assert failed["msg"].startswith("Worker mailer-")
    assert "can't log in with ********" in failed["msg"]
    assert site.running() == before
