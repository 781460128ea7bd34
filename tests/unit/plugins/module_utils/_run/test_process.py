# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the holder of a lock is dead is only said where it can be known."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.action.deployment import this_run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import is_dead, started_ticks, user_name

NOBODY = 2**22 + 1  # above the largest pid (proc(5), pid_max)


def test_this_run() -> None:
    run = this_run("autotest", "test", "deploy")
    assert (run.pid, run.started_ticks) == (os.getppid(), started_ticks(os.getppid()))
    assert run.started_ticks > 0
    assert run.same_process(this_run("autotest", "test", "migrate"))


def test_who_runs_is_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setenv("LOGNAME", "root")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert user_name() == "ada"
    monkeypatch.setattr(os, "getuid", lambda: 1000)  # no sudo: a variable that somebody set
    assert user_name() == "root"


@pytest.mark.parametrize(
    ("difference", "dead"),
    [
        ({}, False),
        ({"pid": NOBODY}, True),
        ({"started_ticks": 1}, True),  # the number is another process's by now
        ({"pid": NOBODY, "controller": "renamed"}, True),
        ({"pid": NOBODY, "namespace": 1}, False),  # in another container of this machine: can't be seen from here
        ({"boot": "earlier"}, True),
        ({"boot": "earlier", "controller": "clone"}, False),  # clones of a machine have its identity
        ({"boot": "another's", "machine": "another"}, False),  # even if it has the same name
        ({"boot": "another's", "machine": ""}, False),
    ],
)
def test_is_dead(difference: dict[str, object], dead: bool) -> None:
    observer = replace(this_run("autotest", "test", "deploy"), machine="this")
    assert is_dead(replace(observer, **difference), observer) is dead  # type: ignore[arg-type]


def test_zombie_is_dead() -> None:
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert started_ticks(child.pid) == 0
