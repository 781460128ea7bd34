# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in charge of a host, what an earlier run may not do any more, and what becomes of what it left at work."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._run import fence as fences
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import Fence, in_charge, next_number

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)
OBEDIENT = "import time; print('ready', flush=True); time.sleep(60)"
HOLDING = "import fcntl, sys, time; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_SH); " + OBEDIENT


@contextmanager
def process(program: str, *arguments: object, fence: str = "") -> Iterator[subprocess.Popen[str]]:
    """A Python program that acts for a run, and has said that it is ready."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {"SLIPWAY_FENCE": fence} if fence else {}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout
        assert started.stdout.readline() == "ready\n"
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("7", None),
        ("7 ", None),
        ("seven /state", None),
        ("7 /state", Fence(Path("/state"), 7)),
        ("7 /a place", Fence(Path("/a place"), 7)),
    ],
)
def test_variable(text: str, expected: Fence | None) -> None:
    assert Fence.parse(text) == expected


def test_number_only_grows(tmp_path: Path) -> None:
    assert in_charge(tmp_path) == 0
    first = next_number(tmp_path)
    assert abs(first - time.time() * 1000) < 60_000
    Fence(tmp_path, first + 10**9).take_over()
    assert next_number(tmp_path) == first + 10**9 + 1
    with pytest.raises(SlipwayError) as caught:
        Fence(tmp_path, first).take_over()
    assert str(caught.value) == (
        f"Run {first} can't act on {tmp_path}, where run {first + 10**9} is in charge: see that no other run works, "
        f"and if none does, delete {tmp_path}/fence and run again."
    )
    assert in_charge(tmp_path) == first + 10**9
    assert os.stat(tmp_path / "fence").st_mode & 0o777 == 0o600


def test_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "fence").write_text("many")
    with pytest.raises(SlipwayError) as caught:
        next_number(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/fence can't be read (invalid literal for int() with base 10: 'many'): see that no run works, "
        "delete it and run again."
    )
    (tmp_path / "fence").write_text("")  # cut short at its very beginning
    assert in_charge(tmp_path) == 0


def test_only_the_run_in_charge_acts(tmp_path: Path) -> None:
    old, new = Fence(tmp_path, 1), Fence(tmp_path, 2)
    with pytest.raises(SlipwayError) as caught, old.held():
        pytest.fail("acts")
    assert str(caught.value) == (
        f"Run 1 is not in charge of {tmp_path} any more, because {tmp_path}/fence is missing: nothing more is done; "
        "see deployments.jsonl for what other runs did."
    )
    assert old.take_over() == []
    with old.held(), old.held():  # several at a time
        old.check()
    assert new.take_over() == []
    with pytest.raises(SlipwayError) as caught, old.held():
        pytest.fail("acts")
    assert str(caught.value) == (
        f"Run 1 is not in charge of {tmp_path} any more, because run 2 has taken over: nothing more is done; see "
        "deployments.jsonl for what other runs did."
    )
    with new.held():
        new.check()


def test_insisting_is_for_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPWAY_FENCE", raising=False)
    fences.insist()
    with fences.fenced():
        pass
    Fence(tmp_path, 2).take_over()
    monkeypatch.setenv("SLIPWAY_FENCE", f"1 {tmp_path}")
    with pytest.raises(SlipwayError, match="run 2 has taken over"):
        fences.insist()
    with pytest.raises(SlipwayError, match="run 2 has taken over"), fences.fenced():
        pytest.fail("acts")
    with fences.fenced(exempt=True):
        pass
    assert fences.mark() == {"SLIPWAY_FENCE": f"1 {tmp_path}"}
    assert "SLIPWAY_FENCE" not in fences.unmarked()


def test_what_an_earlier_run_left_is_ended(tmp_path: Path) -> None:
    Fence(tmp_path, 1).take_over()
    with (
        process(HOLDING, tmp_path / "fence", fence=f"1 {tmp_path}") as orphan,
        process(OBEDIENT, fence=f"1 {tmp_path}/.") as child,
        process(OBEDIENT, fence=f"2 {tmp_path}") as own,
        process(OBEDIENT, fence=f"1 {tmp_path}/other") as another,
        process(OBEDIENT) as stranger,
    ):
        ended = Fence(tmp_path, 2).take_over()
        name = os.path.basename(sys.executable)
        assert sorted(ended) == sorted(
            f"Ended process {each.pid}, which an earlier run left at work: {name}." for each in (orphan, child)
        )
        assert (orphan.wait(5), child.wait(5)) == (-signal.SIGTERM, -signal.SIGTERM)
        assert [each.poll() for each in (own, another, stranger)] == [None, None, None]
    assert in_charge(tmp_path) == 2


def test_one_that_does_not_obey_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fences, "GRACE", 0.3)
    with process(STUBBORN, fence=f"1 {tmp_path}") as orphan:
        assert len(Fence(tmp_path, 2).take_over()) == 1
        assert orphan.wait(5) == -signal.SIGKILL


def test_one_that_cannot_be_ended_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds the lock, and nothing else shows that it acts for a run, as with another user's process."""
    monkeypatch.setattr(fences, "LIMIT", 0.3)
    Fence(tmp_path, 1).take_over()
    with process(HOLDING, tmp_path / "fence") as orphan:
        with pytest.raises(SlipwayError) as caught:
            Fence(tmp_path, 2).take_over()
        assert str(caught.value) == (
            f"An earlier run is still at work on {tmp_path} and did not end within 0.3 s: process {orphan.pid} "
            f"({os.path.basename(sys.executable)}); end it there and run again."
        )
        assert orphan.poll() is None
    assert in_charge(tmp_path) == 1
    Fence(tmp_path, 2).take_over()


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    """What a module starts does not inherit it."""
    Fence(tmp_path, 1).take_over()
    with Fence(tmp_path, 1).held(), process(OBEDIENT):
        pass
    descriptor = os.open(tmp_path / "fence", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert fences.holders(descriptor) == [os.getpid()]
    os.close(descriptor)
