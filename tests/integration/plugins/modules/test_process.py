# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``process`` on the loopback interface."""

from __future__ import annotations

import itertools
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import service as services
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import Service, answers
from ansible_collections.slipway.deploy.plugins.modules import process
from support.modules import run_module
from support.release import APP, Module, free_port, get, load

pytestmark = pytest.mark.once

SECRET = "hunter2-secret"
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("process")


@pytest.fixture(scope="module")
def run(home: Path, port: int) -> Iterator[Run]:
    """Deploy a release; what it started is stopped at the end."""
    module = Module("process", home)

    def deploy(says: str, *flags: str, env: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
        options = {
            "directory": str(home / "state"),
            "argv": [sys.executable, str(APP / "src" / "serve.py"), "{host}", "{port}"],
            "env": {"RELEASE": says, "PASSWORD": SECRET, **(env or {})},
            "cwd": str(home),
            "port": port,
            "start_timeout": 3,
            "drain_timeout": 2,
            **more,
        }
        return module(*flags, **options)

    yield deploy
    module(directory=str(home / "state"), state="absent")


def record(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "state" / "state.json").read_text())
    return found


def test_check_of_a_first_start_changes_nothing(run: Run, home: Path) -> None:
    assert run("one", "--check")["changed"]
    assert not (home / "state").exists()


def test_the_first_start(run: Run, home: Path, port: int) -> None:
    result = run("one")
    assert result["changed"]
    assert result["process"]["url"] == f"http://127.0.0.1:{port}"
    assert get(port)[:2] == (200, "one")
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (home / "state").iterdir()}
    assert set(files.values()) == {0o600}
    assert stat.S_IMODE((home / "state").stat().st_mode) == 0o700
    assert not any(SECRET in path.read_text() for path in (home / "state").iterdir())


def test_a_second_run_changes_nothing(run: Run, home: Path) -> None:
    before = record(home)
    assert not run("one", "--check")["changed"]
    assert not run("one")["changed"]
    assert record(home) == before


def test_other_files_are_another_release(run: Run, home: Path) -> None:
    before = record(home)["app"]
    assert run("one", "--check", release="of other files")["changed"]
    assert record(home)["app"] == before
    assert run("one", release="of other files")["changed"]
    assert record(home)["app"]["pid"] != before["pid"]
    assert not run("one", release="of other files")["changed"]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("door", "one", "another"), ("relay", "another", "two")],
    ids=["an earlier record", ""],
)
def test_a_release_is_swapped_in_without_a_failed_request(
    run: Run, home: Path, port: int, name: str, before: str, after: str
) -> None:
    recorded = record(home)
    old, relay = recorded["app"]["pid"], recorded.pop("relay")
    (home / "state" / "state.json").write_text(json.dumps({**recorded, name: relay}))
    with load(port) as found:
        result = run(after)
    assert found.failures == []
    assert found.answers[before] > 20
    assert found.answers[after] > 0
    assert result["actions"][1] == "Stopped the process that served before."
    assert get(port)[1] == after
    assert record(home)["relay"] == relay
    assert not Path(f"/proc/{old}").exists() or "\nState:\tZ" in Path(f"/proc/{old}/status").read_text()
    assert record(home)["spare"] == []


@pytest.mark.parametrize(
    ("fault", "why", "log"),
    [
        ("CRASH", "it ended at once", "no such setting: CRASH"),
        ("BROKEN", "/healthz answers 503 within 3 s", "the cellar is flooded at postgresql://app:********@db/1"),
    ],
)
def test_a_release_that_does_not_get_healthy_is_not_served(
    run: Run, home: Path, port: int, fault: str, why: str, log: str
) -> None:
    before = record(home)
    result = run("three", env={fault: "1", "DATABASE_URL": f"postgresql://app:{SECRET}@db/1"})
    assert "The new process did not get healthy: " in result["msg"]
    assert f"{why}; the old one still serves. Correct what the end of its log shows" in result["msg"]
    assert result["log"] == log
    assert SECRET not in json.dumps(result)
    assert get(port)[1] == "two"
    assert record(home) == before


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"cwd": "/nowhere"}, "/nowhere, where the service is to run, is not a directory: correct cwd."),
        (
            {"argv": ["no-such-program"]},
            "no-such-program is not a program on this host: correct the first element of argv.",
        ),
    ],
)
def test_what_can_not_run(run: Run, option: dict[str, Any], message: str) -> None:
    assert run("three", **option)["msg"] == message


def test_the_next_good_run_succeeds(run: Run, port: int) -> None:
    assert run("three")["changed"]
    assert get(port)[1] == "three"


def test_a_killed_process_is_started_again(run: Run, home: Path, port: int) -> None:
    os.kill(record(home)["app"]["pid"], signal.SIGKILL)
    assert run("three")["changed"]
    assert get(port)[1] == "three"


def test_what_an_interrupted_run_left_is_stopped(run: Run, home: Path, port: int) -> None:
    orphan = subprocess.Popen(["sleep", "60"], start_new_session=True)
    stat_fields = Path(f"/proc/{orphan.pid}/stat").read_text().rpartition(")")[2].split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    found = record(home)
    # The second has the number of a living process, but not its start time: not ours to stop.
    found["spare"] = [
        {"pid": orphan.pid, "started": f"{boot}/{stat_fields[19]}", "port": 1},
        {"pid": os.getpid(), "started": f"{boot}/1", "port": 1},
    ]
    (home / "state" / "state.json").write_text(json.dumps(found))
    assert run("three")["actions"] == [f"Stopped process {orphan.pid}."]
    assert orphan.wait(5) == -signal.SIGTERM
    assert not run("three")["changed"]
    assert get(port)[1] == "three"


def test_another_port(run: Run, port: int) -> None:
    other = free_port()
    assert run("three", port=other)["changed"]
    assert get(other)[1] == "three"
    with pytest.raises(OSError, match="refused"):
        get(port)
    assert run("three")["changed"]


def test_absent_stops_what_it_started(run: Run, home: Path, port: int) -> None:
    assert run("three", "--check", state="absent")["changed"]
    assert get(port)[1] == "three"
    assert len(run("three", state="absent")["actions"]) == 2
    with pytest.raises(OSError, match="refused"):
        get(port)
    assert not run("three", state="absent")["changed"]


def test_a_port_in_use_is_named_with_its_holder(run: Run, home: Path, port: int) -> None:
    before = sorted(path.name for path in (home / "state").iterdir())
    command = [sys.executable, str(APP / "src" / "serve.py"), "127.0.0.1", str(port)]
    squatter = subprocess.Popen(command, env={"RELEASE": "x"})
    try:
        assert wait_until(lambda: answers("127.0.0.1", port), 10)
        assert run("four")["msg"] == (
            f"Port {port} on 127.0.0.1 is in use by another process (pid {squatter.pid}, {' '.join(command)}): "
            "end that one, or set another port."
        )
    finally:
        squatter.terminate()
        squatter.wait()
    assert sorted(path.name for path in (home / "state").iterdir()) == before


def test_a_run_that_is_interrupted_leaves_nothing_that_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whichever step SIGTERM comes: ``absent`` finds every process that was started."""
    command = [sys.executable, str(APP / "src" / "serve.py"), "{host}", "{port}", str(tmp_path)]
    service = {"directory": str(tmp_path / "state"), "argv": command, "cwd": str(tmp_path), "stop_timeout": 2,
               "drain_timeout": 0, "port": free_port(), "env": {"RELEASE": "one"}}  # fmt: skip
    steps = [(Service, "save"), (services, "start"), (services, "start_relay"), (process, "insist")]

    def interrupted(before: bool, chosen: int) -> bool:
        """Whether there is a step of this number, before or after which the signal then came."""
        calls = itertools.count()

        def counted(original: Callable[..., Any]) -> Callable[..., Any]:
            def step(*arguments: Any) -> Any:
                number = next(calls)
                if before and number == chosen:
                    os.kill(os.getpid(), signal.SIGTERM)
                found = original(*arguments)
                if not before and number == chosen:
                    os.kill(os.getpid(), signal.SIGTERM)
                return found

            return step

        with monkeypatch.context() as patched:
            for owner, name in steps:
                patched.setattr(owner, name, counted(getattr(owner, name)))
            result = run_module("process", service)
        return result.get("msg", "").startswith("Interrupted by SIGTERM")

    for before in (True, False):
        for number in itertools.count():
            came = interrupted(before, number)
            run_module("process", {**service, "state": "absent"})
            assert wait_until(lambda: not running(str(tmp_path)), 5), (before, number)
            if not came:
                break
        assert number > 5


def running(word: str) -> list[str]:
    """The commands of all processes that have a word in one of their arguments."""
    commands = [services.read(str(path)) for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [command for command in commands if word in command]
