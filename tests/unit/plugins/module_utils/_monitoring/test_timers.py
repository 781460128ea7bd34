# SPDX-License-Identifier: GPL-3.0-or-later
"""Who starts a command on time, and what is done for it; that it is started is seen in the test of the module."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron, systemd, timers
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring.timers import Command, CronTimer, SystemdTimer


def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, by: str, root: bool, cron_runs: bool = False) -> None:
    monkeypatch.setattr(systemd, "RUNNING", tmp_path if by == "systemd" else tmp_path / "not")
    monkeypatch.setattr(timers.os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(timers, "user_name", lambda: "maria")
    monkeypatch.setattr(cron, "runs", lambda: cron_runs)
    monkeypatch.setattr(cron, "DIRECTORY", tmp_path)


@pytest.mark.parametrize(
    ("by", "root", "cron_runs", "chosen", "why"),
    [
        ("systemd", True, False, SystemdTimer, ""),
        ("systemd", True, True, SystemdTimer, ""),
        ("systemd", False, True, CronTimer, ""),
        ("systemd", False, False, CronTimer, "user maria is not root"),
        ("sysvinit", True, True, CronTimer, ""),
        ("sysvinit", True, False, CronTimer, "this host does not run systemd"),
    ],
)
def test_who(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str, root: bool, cron_runs: bool, chosen: type, why: str
) -> None:
    host(monkeypatch, tmp_path, by=by, root=root, cron_runs=cron_runs)
    here, other = timers.timers(Command("backup", "Backup", ["true"], tmp_path / "log"))
    assert type(here) is chosen
    assert type(other) is not chosen
    if not why:
        timers.insist("backup_schedule")
        return
    with pytest.raises(SlipwayError) as caught:
        timers.insist("backup_schedule")
    assert str(caught.value) == (
        f"backup_schedule is set, but nothing starts a program on time here: {why}, and no cron runs: start cron "
        "(Debian's package cron), become root on a host with systemd (ansible_become), or leave backup_schedule out "
        "here."
    )


def test_four_runs_by_cron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And its command is one that sh runs as it was meant, in a place with blanks, quotes and percent signs."""
    host(monkeypatch, tmp_path, by="sysvinit", root=True, cron_runs=True)
    place = tmp_path / "a 'b' 100%"
    place.mkdir()
    command = Command("backup", "Backup", ["/bin/echo", str(place), "$HOME"], place / "log")
    timer = CronTimer(command)
    assert (timer.exists(), timer.found()) == (False, "")
    assert timer.due("daily") == [f"Wrote backup into {tmp_path}/backup, daily."]
    timer.put("daily")
    assert (timer.exists(), timer.found(), timer.due("daily")) == (True, timer.wanted("daily"), [])
    assert timer.due("weekly") == [f"Wrote backup into {tmp_path}/backup, weekly."]
    told = timer.found().splitlines()[1].removeprefix("0 0 * * * root ").replace(r"\%", "%")
    subprocess.run(["sh", "-c", told], check=True, timeout=60)
    assert (place / "log").read_text() == f"{place} $HOME\n"
    assert timer.removed == f"Removed backup from {tmp_path}/backup."
    timer.remove()
    assert (timer.exists(), timer.found()) == (False, "")
