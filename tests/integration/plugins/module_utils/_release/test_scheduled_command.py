# SPDX-License-Identifier: GPL-3.0-or-later
"""Of all hosts that start a command on time one runs it, asserted by SQL and by the command's own trace."""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron
from ansible_collections.slipway.deploy.plugins.module_utils._release import command_runs
from conftest import Postgres
from support.modules import ROOT, run_module
from support.workers import SECRET, Site

pytestmark = pytest.mark.once

APPLICATION, PASSWORD = "scheduled_app", "the-application's"
PROGRAM = "ansible_collections.slipway.deploy.plugins.module_utils._release.scheduled_command"
# Notes when it begins and ends, and takes a moment, or what it is told to; a SIGTERM ends it in order.
COMMAND = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(9))
with open("trace", "a") as trace:
    print(os.environ["RELEASE"], "begins", file=trace, flush=True)
    print("said to the log", flush=True)
    time.sleep(float(sys.argv[1]))
    print(os.environ["RELEASE"], "ends", file=trace, flush=True)
sys.exit(int(sys.argv[2]))
"""


@dataclass
class Hosts:
    """Hosts of one application, which here share the directory of the release that serves."""

    postgres: Postgres
    database: str
    site: Site

    def settings(self, host: str, seconds: float, status: int, schedule: str) -> Path:
        files = self.site.home / host
        files.mkdir(exist_ok=True)
        command = [sys.executable, "-c", COMMAND, str(seconds), str(status)]
        told = {
            **self.postgres.login(self.database), "login_user": APPLICATION, "login_password": PASSWORD,
            "login_host": "", "ssl_mode": "prefer", "ca_cert": None, "connect_timeout": 10, "host": host, "label": "",
            "directory": str(self.site.home), "files": str(files), "stop_timeout": 20,
            "processes": {"cleanup": {"command": command, "schedule": schedule}},
        }  # fmt: skip
        path = files / "settings.json"
        path.write_text(json.dumps(told))
        return path

    def start(
        self, host: str, seconds: float = 0.5, status: int = 0, schedule: str = "yearly"
    ) -> subprocess.Popen[str]:
        """What a timer of this host starts."""
        code = f"import sys; from {PROGRAM} import main; sys.exit(main(sys.argv[1:]))"
        return subprocess.Popen(
            [sys.executable, "-c", code, "cleanup", str(self.settings(host, seconds, status, schedule))],
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def trace(self) -> list[str]:
        file = self.site.home / "trace"
        return file.read_text().splitlines() if file.exists() else []

    def rows(self) -> list[tuple[Any, ...]]:
        table = "SELECT host, exit_status, seconds > 0.1 FROM slipway.command_runs ORDER BY due, host"
        return self.postgres.execute(table, self.database)

    def forget(self) -> None:
        self.postgres.execute("DELETE FROM slipway.command_runs", self.database)
        (self.site.home / "trace").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("commands"))
    site.release("one")
    yield site
    site.end()


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    name = postgres.database()
    postgres.execute(f"""CREATE ROLE {APPLICATION} LOGIN PASSWORD '{PASSWORD.replace("'", "''")}'""")
    done = run_module("command_runs", {**postgres.login(name), "application": APPLICATION})
    assert done["changed"]
    return name


@pytest.fixture
def hosts(postgres: Postgres, database: str, site: Site) -> Hosts:
    hosts = Hosts(postgres, database, site)
    hosts.forget()
    return hosts


def said(*processes: subprocess.Popen[str]) -> list[str]:
    return [process.communicate(timeout=30)[0].strip() for process in processes]


def test_hosts_that_start_it_at_the_same_moment_run_it_once(hosts: Hosts) -> None:
    names = ["web1", "web2", "web3"]
    started = [hosts.start(name) for name in names]
    words = said(*started)
    assert hosts.trace() == ["one begins", "one ends"]
    assert [(status, took) for _host, status, took in hosts.rows()] == [(0, True)]
    winner = hosts.rows()[0][0]
    told = dict(zip(names, words, strict=True))
    assert told.pop(winner).startswith("Command cleanup ended with exit status 0 after ")
    assert all("no other one is started" in word or f"already, by {winner}" in word for word in told.values()), told
    assert {process.returncode for process in started} == {0}
    assert (hosts.site.home / winner / "cleanup-scheduled-runs.log").read_text() == "said to the log\n"
    # A host whose clock is late, or that was off at that time and makes up for it.
    assert f"already, by {winner}" in said(hosts.start("web4"))[0]
    assert len(hosts.trace()) == 2


def test_no_two_runs_of_it_are_at_work_at_a_time(hosts: Hosts) -> None:
    first = hosts.start("web1", seconds=2, schedule="yearly")
    assert wait_until(lambda: hosts.trace() == ["one begins"], 20)
    holder = "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory'"
    assert hosts.postgres.execute(holder) == [("slipway cleanup at web1",)]
    # Another time has come.
    due = datetime.datetime.fromtimestamp(cron.latest("yearly", time.time()), datetime.UTC)
    assert said(hosts.start("web2", schedule="*:*"))[0] == (
        f"Command cleanup is at work, run by web1 for {command_runs.moment(due)} UTC: no other one is started."
    )
    assert said(first)[0].startswith("Command cleanup ended with exit status 0 after ")
    assert hosts.trace() == ["one begins", "one ends"]
    said(hosts.start("web2", seconds=0, schedule="*:*"))
    assert [(host, status) for host, status, _took in hosts.rows()] == [("web1", 0), ("web2", 0)]


def test_another_release_runs_it_after_a_switch_and_its_status_is_kept(hosts: Hosts) -> None:
    hosts.site.release("two")
    process = hosts.start("web1", seconds=0.2, status=3)
    assert said(process)[0].startswith("Command cleanup ended with exit status 3 after ")
    assert process.returncode == 3
    assert hosts.trace() == ["two begins", "two ends"]
    assert hosts.rows() == [("web1", 3, True)]
    assert SECRET not in (hosts.site.home / "web1" / "settings.json").read_text()


def test_a_signal_is_passed_on_and_noted(hosts: Hosts) -> None:
    process = hosts.start("web1", seconds=30)
    assert wait_until(lambda: len(hosts.trace()) == 1, 20)
    process.terminate()
    assert said(process)[0].startswith("Command cleanup ended with exit status 9 after ")
    assert [row[:2] for row in hosts.rows()] == [("web1", 9)]


def test_a_run_whose_host_is_lost_is_told_as_broken_off(hosts: Hosts) -> None:
    process = hosts.start("web1", seconds=3)
    assert wait_until(lambda: len(hosts.trace()) == 1, 20)
    with hosts.postgres.connect(hosts.database) as opened, opened.cursor() as cursor:
        assert [run.outcome for run in command_runs.runs(cursor, ["cleanup", "other"])] == ["at work"]
        process.send_signal(signal.SIGKILL)
        said(process)
        assert wait_until(lambda: command_runs.runs(cursor, ["cleanup"])[0].outcome == "broken off", 10)
    # The command itself may still be at work there.
    assert said(hosts.start("web1", schedule="*:*"))[0] == (
        "Command cleanup is at work on this host already: no other one is started."
    )
    assert wait_until(lambda: len(hosts.trace()) == 2, 20)


def test_what_keeps_it_from_running_is_told(hosts: Hosts, postgres: Postgres, tmp_path: Path) -> None:
    elsewhere = Hosts(postgres, postgres.database(), hosts.site)
    assert said(elsewhere.start("web1"))[0] == (
        f"Database '{elsewhere.database}' has no table of the runs of commands, by which hosts agree who runs cleanup: "
        "deploy, which makes it."
    )
    process = Hosts(postgres, hosts.database, Site(tmp_path)).start("web1")
    assert said(process)[0] == "No release runs here, so that there is nothing to run the command with: deploy first."
    assert process.returncode == 1
    assert hosts.rows() == []
