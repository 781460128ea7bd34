# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``command_schedule`` by a user's cron: four runs, what cron starts, and what goes with its command."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron, systemd, timers
from conftest import Postgres
from support.modules import run_module
from support.workers import Site

pytestmark = pytest.mark.once

CRONTAB = """#!/bin/sh
case $1 in
-l) cat "$CRONTAB" 2>/dev/null || { echo "no crontab for maria" >&2; exit 1; } ;;
-) cat >"$CRONTAB" ;;
esac
"""
CLEANUP = {"command": ["sh", "-c", "echo $RELEASE >>runs"], "schedule": "*-*-* 03:00"}
WORKER = {"command": ["sleep", "600"]}


@dataclass(frozen=True)
class Host:
    home: Path
    crontab: Path
    login: dict[str, object]

    def schedule(self, *, check: bool = False, **processes: dict[str, Any]) -> dict[str, Any]:
        given = {"processes": processes, "name": "shop-local", "host": "here", "directory": str(self.home)}
        return run_module("command_schedule", {**self.login, **given}, check=check)

    def entries(self) -> str:
        return self.crontab.read_text() if self.crontab.exists() else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("a host's"))
    site.release("one")
    yield site
    site.end()


@pytest.fixture
def host(site: Site, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which no systemd runs for this user, but cron does."""
    program = tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(CRONTAB)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("CRONTAB", str(tmp_path / "crontab"))
    monkeypatch.setattr(systemd, "RUNNING", tmp_path / "none")
    monkeypatch.setattr(cron, "runs", lambda: True)
    monkeypatch.setattr(cron.Entry, "file", None)
    database = postgres.database()
    login = postgres.login(database)
    run_module("command_runs", {**login, "application": postgres.user})
    return Host(site.home, tmp_path / "crontab", login)


def test_four_runs_and_what_cron_starts(host: Host, postgres: Postgres) -> None:
    wanted = {"cleanup": CLEANUP, "mailer": WORKER}
    checked = host.schedule(check=True, **wanted)
    assert (checked["changed"], host.entries(), (host.home / "commands").exists()) == (True, "", False)
    done = host.schedule(**wanted)
    assert done["actions"] == checked["actions"]
    assert done["actions"][-1] == "Wrote shop-local-command-cleanup into the user's crontab, *-*-* 03:00."
    assert host.entries() == done["diff"]["after"]
    assert host.entries().splitlines()[1].startswith("0 3 * * * LC_ALL=C.UTF-8 nice ")
    assert "mailer" not in host.entries()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (host.home / "commands").iterdir()}
    assert modes == {"command.pyz": 0o600, "settings.json": 0o600}
    assert not host.schedule(check=True, **wanted)["changed"]
    assert not host.schedule(**wanted)["changed"]

    command = host.entries().splitlines()[1].removeprefix("0 3 * * * ").replace(r"\%", "%")
    for _ in range(2):
        subprocess.run(["sh", "-c", command], check=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
    assert (host.home / "runs").read_text() == "one\n"
    assert "was run for" in (host.home / "commands" / "cleanup.log").read_text()
    table = "SELECT command, host, exit_status FROM slipway.command_runs"
    assert postgres.execute(table, str(host.login["login_db"])) == [("cleanup", "here", 0)]

    assert host.schedule(cleanup={**CLEANUP, "schedule": "hourly"})["changed"]
    assert host.entries().splitlines()[1].startswith("0 * * * * ")
    gone = host.schedule(mailer=WORKER)
    assert gone["actions"] == [
        "Removed shop-local-command-cleanup from the user's crontab.",
        "Removed command cleanup.",
        f"Deleted {host.home}/commands.",
    ]
    assert (host.entries(), (host.home / "commands").exists()) == ("", False)
    assert not host.schedule()["changed"]


def test_what_is_wrong_is_told_before_anything_is_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = host.schedule(cleanup={**CLEANUP, "schedule": "0 3 * * *"})["msg"]
    assert bad.startswith("Process cleanup of app_processes has a schedule that does not work ('0 3 * * *' is no time")
    unreachable = Host(host.home, host.crontab, {**host.login, "login_db": "nowhere"})
    assert "Can't connect to database 'nowhere'" in unreachable.schedule(cleanup=CLEANUP)["msg"]
    monkeypatch.setattr(cron, "runs", lambda: False)
    monkeypatch.setattr(timers, "by_systemd", lambda: False)
    without = host.schedule(cleanup=CLEANUP)["msg"]
    assert without.startswith("A schedule of commands is set, but nothing starts a program on time here: ")
    assert (host.entries(), (host.home / "commands").exists()) == ("", False)
