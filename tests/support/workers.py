# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers for tests, the jobs that they note, and a release that serves, as a process that only waits."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release import service
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, State
from support.modules import run_module

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

    def end(self) -> None:
        """Stop the workers and the release."""
        self.work()
        service.stop(service.Service(str(self.home / "backend")).state.app, 5)


def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose release is called one, for a fixture."""
    site = Site(tmp_path_factory.mktemp("workers"))
    site.release("one")
    yield site
    site.end()
