# SPDX-License-Identifier: GPL-3.0-or-later
"""A module whose controller is dead works on; whatever it is in the midst of, the next run ends it and then succeeds.

SLIPWAY_ORPHANS says how often each is tried, at another moment every time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.action.deployment import this_run
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import acting
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read
from conftest import Postgres
from support.modules import MODULES, ROOT, run_module
from support.release import free_port

TIMES = int(os.environ.get("SLIPWAY_ORPHANS", "2"))
DEAD = replace(this_run("shop", "test", "deploy"), pid=4194305)


@dataclass
class Runs:
    """Runs one after another on one host, each of which but the last is dead."""

    state: Path
    number: int = 0
    fence: str = ""
    endings: list[str] = field(default_factory=list)

    def take_over(self) -> list[str]:
        """Begin another run, and end what the one before left at work."""
        dead = asdict(replace(DEAD, started_ticks=self.number))
        self.number += 1
        run = asdict(replace(DEAD, started_ticks=self.number))
        directory = {"directory": str(self.state), "application": "shop", "environment_name": "test"}
        found = run_module("deployment", {**directory, "state": "locked", "run": run, "take_over": dead})
        assert "msg" not in found, found
        self.fence = f"{found['deployment']['fence']} {self.state}"
        return [action for action in found["actions"] if action.startswith("Ended process")]

    def start(self, module: str, arguments: dict[str, object]) -> subprocess.Popen[str]:
        """Begin a module of the run as a worker does, in a session of its own."""
        started = subprocess.Popen(
            [sys.executable, "-m", f"{MODULES}.{module}"],
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections"), "SLIPWAY_FENCE": self.fence},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/",
            start_new_session=True,
        )  # fmt: skip
        assert started.stdin
        started.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        started.stdin.close()
        started.stdin = None
        return started

    def run(self, module: str, arguments: dict[str, object]) -> dict[str, Any]:
        """Run a module of the run to its end, which must be a good one."""
        output, _ = self.start(module, arguments).communicate(timeout=300)
        result: dict[str, Any] = json.loads(output[output.index("{") : output.rindex("}") + 1])
        assert "msg" not in result, output
        return result

    def orphan(self, module: str, arguments: dict[str, object], seconds: float) -> None:
        """Leave a module at work when it has worked for a while, and take over."""
        left = self.start(module, arguments)
        time.sleep(seconds)
        at_work = left.poll() is None
        ended = self.take_over()
        assert left.poll() is not None or left.wait(1) is not None  # it does not act beside the run that follows
        self.endings.append("ended" if ended else "by itself" if at_work else "was over")
        left.communicate()
        assert acting(self.state, 10**15) == {}


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Runs]:
    found = Runs(tmp_path / "state")
    found.take_over()
    yield found
    print({ending: found.endings.count(ending) for ending in sorted(set(found.endings))})


def moments(lasts: float) -> Iterator[float]:
    """As many moments as are wanted of something that takes so many seconds."""
    rng = random.Random(TIMES)
    for number in range(TIMES):
        yield rng.uniform(0.1, 1.1) * lasts
        print(f"{number + 1} of {TIMES}", flush=True)


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


@pytest.mark.once
def test_a_release_that_is_swapped_in(runs: Runs, tmp_path: Path) -> None:
    """One of the releases always answers, the newest at the end, and no process is left of any other."""
    port, releases, troubles, done = free_port(), list[str](), list[str](), threading.Event()

    def service(release: str) -> dict[str, object]:
        directory = tmp_path / release
        directory.mkdir()
        (directory / "healthz").write_text(release)
        releases.append(release)
        command = [sys.executable, "-m", "http.server", "--bind", "{host}", "--directory", str(directory), "{port}"]
        timeouts = {"start_timeout": 120, "drain_timeout": 1, "stop_timeout": 5}
        return {"directory": str(tmp_path / "backend"), "argv": command, "cwd": "/", "port": port, **timeouts}

    def ask() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=60) as answer:
            body: bytes = answer.read()
            return body.decode()

    def ask_all_along() -> None:
        while not done.wait(0.05):
            try:
                release = ask()
                if release not in releases:
                    troubles.append(release)
            except (OSError, urllib.error.HTTPError) as error:
                troubles.append(repr(error))

    runs.run("process", service("first"))
    asking = threading.Thread(target=ask_all_along)
    asking.start()
    try:
        lasts = timed(lambda: runs.run("process", service("second")))
        for number, moment in enumerate(moments(lasts)):
            runs.orphan("process", service(f"orphan-{number}"), moment)
            runs.run("process", service(f"next-{number}"))
            assert ask() == f"next-{number}"
            assert len(processes(tmp_path)) == 2  # the release and the relay
    finally:
        done.set()
        asking.join()
        run_module("process", {"directory": str(tmp_path / "backend"), "state": "absent"})
    assert troubles == []
    assert processes(tmp_path) == []


def processes(directory: Path) -> list[str]:
    """Command lines of the processes that have to do with a directory, but for pytest's own."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        words = command.decode(errors="replace").split("\0")
        found += [" ".join(words)] if any(word.startswith(f"{directory}/") for word in words) else []
    return found


def test_migrations(runs: Runs, postgres: Postgres, tmp_path: Path) -> None:
    """Each is applied once."""
    first = "CREATE TABLE counter (n int); INSERT INTO counter VALUES (0);"
    steps = [f"UPDATE counter SET n = n * 10 + {number}; SELECT pg_sleep(0.2);" for number in (1, 2, 3)]

    def files(name: str, scripts: list[str]) -> dict[str, object]:
        for number, sql in enumerate(scripts):
            (tmp_path / name / f"{number}_step").mkdir(parents=True)
            (tmp_path / name / f"{number}_step" / "migration.sql").write_text(sql)
        payload = read(str(tmp_path / name), "migrations").payload.dump()
        return {"path": "migrations", "_payload": payload, "policy": {"lint": "allow"}}

    before, after = files("before", [first]), files("after", [first, *steps])

    def database() -> dict[str, object]:
        login = postgres.login(postgres.database())
        runs.run("migrations", {**login, **before})
        return login

    trial = database()
    for moment in moments(timed(lambda: runs.run("migrations", {**trial, **after}))):
        login = database()
        name = str(login["login_db"])
        runs.orphan("migrations", {**login, **after}, moment)
        runs.run("migrations", {**login, **after})
        assert postgres.execute("SELECT n FROM counter", name) == [(123,)]
        applied = "SELECT 1 FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL"
        assert len(postgres.execute(applied, name)) == 4
        assert postgres.execute("SELECT query FROM pg_stat_activity WHERE datname = %s", parameters=[name]) == []
