# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``workers``, with processes and with containers: no job is lost or done twice, whatever is released."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import service
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, State
from support.modules import run_module
from support.release import docker, images

pytestmark = pytest.mark.once

LABEL = "slipway-test-workers"
SECRET = "hunter2-secret"
# Does one job after the other, a line when it begins and a line when it ends; on SIGTERM it finishes the one in hand.
WORKER = """
import os, signal, time
going = True
def stop(number, frame):
    global going
    going = False
signal.signal(signal.SIGTERM, stop)
job = 0
while going:
    job += 1
    print(f"{os.environ['RELEASE']} begins {job}", flush=True)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        time.sleep(0.05)
    print(f"{os.environ['RELEASE']} ends {job}", flush=True)
"""
BROKEN = "import os, sys; sys.exit('can\\'t log in with ' + os.environ['PASSWORD'])"
Work = Callable[..., dict[str, Any]]


def whole(lines: list[str]) -> bool:
    """Whether each job that was begun was ended, by the release that began it, before the next one began."""
    pairs = list(zip(lines[::2], lines[1::2], strict=True))
    return all(begun.replace("begins", "ends") == ended for begun, ended in pairs)


class Site:
    """A release that serves, as a process that only waits."""

    def __init__(self, home: Path) -> None:
        self.home, self.jobs = home, home / "jobs"
        self.state: Path = home / "workers" / "state.json"

    def release(self, name: str) -> None:
        """Put another release in the place of the one that serves."""
        found = service.Service(str(self.home / "backend"))
        service.stop(found.state.app, 5)
        (self.home / "backend").mkdir(exist_ok=True)
        environment = {"RELEASE": name, "PASSWORD": SECRET}

        def record(process: Process) -> None:
            found.save(State(digest=name, app=process))

        service.start(service.Spec(["sleep", "600"], environment, str(self.home)), 0, found.log, record)

    def work(self, *, check: bool = False, **processes: dict[str, Any]) -> dict[str, Any]:
        given = {"processes": processes, "directory": str(self.home), "stop_timeout": 20}
        return run_module("workers", given, check=check)

    def command(self, code: str) -> list[str]:
        """A command whose output is in the file of the jobs as well."""
        return ["sh", "-c", f'exec "{sys.executable}" -uc "$1" >> {self.jobs}', "sh", code]

    def running(self) -> dict[str, int]:
        """The numbers of the workers' processes, by /proc."""
        kept = json.loads(self.state.read_text()) if self.state.exists() else {}
        pids = {name: each["running"]["pid"] for name, each in kept.items()}
        return {name: pid for name, pid in pids.items() if Path(f"/proc/{pid}/exe").exists()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("workers"))
    site.release("one")
    yield site
    site.work()
    service.stop(service.Service(str(site.home / "backend")).state.app, 5)


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


def test_without_a_release_there_is_nothing_to_run_them_with(tmp_path: Path) -> None:
    given = {"processes": {"mailer": {"command": ["true"]}}, "directory": str(tmp_path)}
    said = run_module("workers", given)["msg"]
    assert said == "No release runs here, so that there is nothing to run workers with: deploy first."


@pytest.fixture(scope="module")
def release() -> Iterator[Callable[[str], str]]:
    image = images()["SLIPWAY_PYTHON_IMAGE"]

    def made(name: str) -> str:
        docker(
            "run", "--detach", f"--name={LABEL}-backend-{name}", f"--env=RELEASE={name}", f"--env=PASSWORD={SECRET}",
            "--memory=64m", "--pids-limit=33", "--cap-drop=ALL", "--read-only", "--log-opt=max-size=1m", image,
            "sleep", "600",
        )  # fmt: skip
        return f"{LABEL}-backend-{name}"

    yield made
    for container in docker("ps", "--all", "--quiet", f"--filter=name=^{LABEL}-").split():
        docker("rm", "--force", container)


def containers() -> dict[str, str]:
    listed = docker("ps", "--all", f"--filter=label=slipway.worker={LABEL}", "--format={{.Names}} {{.State}}")
    return dict(line.split() for line in listed.splitlines())


@pytest.mark.container
def test_containers_are_like_the_release_and_lose_no_job(release: Callable[[str], str], tmp_path: Path) -> None:
    def work(container: str, *, check: bool = False, **processes: dict[str, Any]) -> dict[str, Any]:
        given = {"processes": processes, "directory": str(tmp_path), "label": LABEL, "container": container}
        return run_module("workers", given, check=check)

    wanted = {"mailer": {"command": ["python", "-uc", WORKER], "count": 2, "stop_timeout": 15}}
    one = release("one")
    assert work(one, check=True, **wanted)["changed"]
    assert containers() == {}
    assert work(one, **wanted)["changed"]
    first = containers()
    assert list(first.values()) == ["running", "running"]
    found = json.loads(docker("container", "inspect", *first))
    for each in found:
        host = each["HostConfig"]
        assert (host["Memory"], host["PidsLimit"], host["CapDrop"], host["ReadonlyRootfs"]) == (
            64 * 2**20, 33, ["ALL"], True,
        )  # fmt: skip
        assert host["LogConfig"]["Config"] == {"max-size": "1m"}
        assert (host["RestartPolicy"]["Name"], each["Config"]["StopTimeout"]) == ("unless-stopped", 15)
        assert f"PASSWORD={SECRET}" in each["Config"]["Env"]
    assert not work(one, check=True, **wanted)["changed"]
    assert not work(one, **wanted)["changed"]

    two = release("two")
    broken = work(two, mailer={"command": ["python", "-c", BROKEN], "count": 2})
    assert "can't log in with ********" in broken["msg"]
    assert containers() == first
    docker("stop", *first)
    ended = [docker("logs", name).splitlines() for name in first]
    docker("start", *first)
    assert work(two, **wanted)["changed"]
    assert len(containers()) == 2
    assert set(containers()) & set(first) == set()
    assert all(whole(lines) for lines in ended), ended
    assert work(two)["changed"]
    assert containers() == {}
