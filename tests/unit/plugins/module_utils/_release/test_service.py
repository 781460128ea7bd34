# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes on this host: which is which, how one is started and ended, and who listens on a port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import service
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec, State

# Ends by SIGTERM; ends by SIGKILL alone. Both say when they run.
OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"


@contextlib.contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        yield server.getsockname()[1]


def started(program: str, log: Path) -> Process:
    """A process that runs, and that nobody else has to end."""
    recorded: list[Process] = []
    process = service.start(Spec([sys.executable, "-c", program], {}, "/"), 1, str(log), recorded.append)
    assert recorded == [process]
    assert wait_until(lambda: "up" in log.read_text(), 20)
    return process


def test_a_process_is_told_from_another_of_its_number() -> None:
    own = Process(os.getpid(), service.started(os.getpid()) or "", 1)
    assert service.alive(own)
    assert not service.alive(Process(own.pid, "boot/1", 1))
    assert not service.alive(None)
    assert service.started(4194305) is None


@pytest.mark.parametrize(("program", "timeout"), [(OBEDIENT, 20), (STUBBORN, 0.2)])
def test_a_process_is_ended(tmp_path: Path, program: str, timeout: float) -> None:
    process = started(program, tmp_path / "log")
    service.stop(process, timeout)
    assert not service.alive(process)
    service.stop(process, timeout)  # it is gone already
    service.stop(None, timeout)


def test_what_a_command_gets_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_SECRET", "hunter2")
    monkeypatch.setenv("HOME", "/home/app")
    monkeypatch.delenv("LC_ALL", raising=False)
    assert set(service.inherited()) <= set(service.INHERITED) - {"LC_ALL"}
    log = tmp_path / "log"
    service.start(Spec(["env"], {"PORT": "1"}, str(tmp_path)), 1, str(log), lambda process: None)
    assert wait_until(lambda: "PORT=1" in log.read_text(), 20)
    assert "HOME=/home/app\n" in log.read_text()
    assert "SLIPWAY_SECRET" not in log.read_text()


def test_a_command_that_is_none_says_so_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    service.start(Spec(["/no/such/program"], {}, "/"), 1, str(log), lambda process: None)
    assert wait_until(lambda: "/no/such/program can't be started: No such file or directory" in log.read_text(), 20)
    with pytest.raises(SlipwayError, match=r"^x can't be started in /no/such/place: .*; correct the command\.$"):
        service.start(Spec(["x"], {}, "/no/such/place"), 1, str(log), lambda process: None)


def test_a_long_log_makes_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LOG_LIMIT", 3)
    log = tmp_path / "log"
    for text, kept in (("abc", False), ("abcd", True)):
        log.write_text(text)
        service.start(Spec(["true"], {}, "/"), 1, str(log), lambda process: None)
        assert (tmp_path / "log.1").exists() is kept
    assert (tmp_path / "log.1").read_text() == "abcd"


@pytest.mark.parametrize(
    ("offset", "lines", "text"), [(0, 30, "one\ntwo\nthree"), (4, 30, "two\nthree"), (0, 1, "three"), (99, 1, "three")]
)
def test_the_end_of_a_log(tmp_path: Path, offset: int, lines: int, text: str) -> None:
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")
    assert service.log_end(str(log), offset, lines) == text


def test_a_port_that_is_free_can_be_claimed() -> None:
    service.claim("127.0.0.1", service.free_port())


def test_a_port_in_use_is_named_with_who_has_it() -> None:
    with listening() as port:
        command = Path("/proc/self/cmdline").read_text().replace("\0", " ").strip()
        assert service.listener(port) == f" (pid {os.getpid()}, {command})"
        with pytest.raises(SlipwayError) as caught:
            service.claim("127.0.0.1", port)
    assert str(caught.value) == (
        f"Port {port} on 127.0.0.1 is in use by another process (pid {os.getpid()}, {command}): end that one, or set "
        "another port."
    )
    assert service.listener(port) == ""


@pytest.mark.parametrize("host", ["203.0.113.1", "no-such-host.invalid"])
def test_an_address_that_is_not_this_hosts(host: str) -> None:
    with pytest.raises(SlipwayError, match=rf"^Nothing can listen on port 8000 of {host}: .*; set another port or ho"):
        service.claim(host, 8000)


@pytest.mark.parametrize(
    ("host", "reachable"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3"), ("db", "db")]
)
def test_where_this_host_reaches_what_listens(host: str, reachable: str) -> None:
    assert service.reachable(host) == reachable


def test_what_answers() -> None:
    with listening() as port:
        assert service.answers("0.0.0.0", port)
    assert not service.answers("127.0.0.1", port)
    assert "127.0.0.1" in service.health("0.0.0.0", port, "/healthz")


def test_the_record_of_a_service(tmp_path: Path) -> None:
    found = service.Service(str(tmp_path))
    assert found.state == State()
    state = State(spare=(Process(7, "boot/1", 8000),))
    found.save(state)
    assert service.Service(str(tmp_path)).state == state


def test_nobody_is_waited_for_where_nobody_is_connected(tmp_path: Path) -> None:
    process = started(OBEDIENT, tmp_path / "log")
    try:
        with listening() as port:
            asked = Process(process.pid, process.started, port)
            service.drain(asked, 20)
            with socket.create_connection(("127.0.0.1", port)):
                service.drain(asked, 0.2)  # it gives up
        service.drain(None, 20)
    finally:
        os.kill(process.pid, signal.SIGKILL)
