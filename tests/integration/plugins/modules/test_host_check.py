# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can take the application: real ports, real processes, an engine that is played."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron, systemd
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, State
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import Service, started
from support.modules import run_module, run_module_as

pytestmark = pytest.mark.once


@pytest.fixture
def port() -> Iterator[int]:
    """A port that this test listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def look(directory: Path, port: int, *, check: bool = False, **more: object) -> dict[str, Any]:
    arguments = {"address": "127.0.0.1", "port": port, "directory": str(directory / "not" / "yet"), **more}
    return run_module("host_check", arguments, check=check)


def engine(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let the host have the ``docker`` that ``script`` is, and nothing else."""
    program = directory / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_a_host_where_the_application_is_not_reached(tmp_path: Path, port: int) -> None:
    assert "is in use" in look(tmp_path, port)["msg"]
    assert not look(tmp_path, port, address="").get("failed")


def test_host_that_is_fit(tmp_path: Path) -> None:
    for check in (True, False):
        found = look(tmp_path, free_port(), check=check)
        free = shutil.disk_usage(tmp_path).free // 2**20
        assert (found["changed"], found["host"]["engine"]) == (False, "")
        assert abs(found["host"]["free_megabytes"] - free) < 1000
    assert list(tmp_path.iterdir()) == []


def test_port_of_another_process(tmp_path: Path, port: int) -> None:
    command = Path("/proc/self/cmdline").read_text().replace("\0", " ").strip()
    for check in (True, False):
        assert look(tmp_path, port, check=check)["msg"] == (
            f"Port {port} on 127.0.0.1 is in use by another process (pid {os.getpid()}, {command}): end that one, or "
            "set another port."
        )


def test_port_of_the_applications_own_process(tmp_path: Path, port: int) -> None:
    start = started(os.getpid())
    assert start is not None
    for relay, fit in (
        (Process(os.getpid(), start, port), True),
        (Process(os.getpid(), start, port + 1), False),  # it holds the port that was set before
        (Process(os.getpid(), "of an earlier process", port), False),
        (None, False),
    ):
        Service(str(tmp_path)).save(State(relay=relay))
        assert ("msg" not in look(tmp_path, port, process_directory=str(tmp_path))) is fit


@pytest.mark.parametrize(("name", "fit"), [("app-frontend", True), ("app-frontend-2", False)])
def test_port_of_a_container(tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch, name: str, fit: bool) -> None:
    engine(
        tmp_path,
        monkeypatch,
        f'[ "$*" = "ps --filter publish={port} --format {{{{.Names}}}}" ] && echo {name} || echo 27.1',
    )
    found = look(tmp_path, port, container="app-frontend")
    assert found["host"]["engine"] == "27.1" if fit else found["msg"].startswith(f"Port {port} on 127.0.0.1 is in use")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (None, "There is no docker on the host's PATH: install Docker Engine there, or use the role docker_engine."),
        (
            "echo Cannot connect to the daemon. >&2; exit 1",
            "docker version --format failed: Cannot connect to the daemon.; check the engine with docker info.",
        ),
    ],
)
def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str) -> None:
    if script:
        engine(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    assert look(tmp_path, free_port(), container="x")["msg"] == (
        f"No Docker engine answers on this host ({reason}): start it, let this user reach it, or, where there is no "
        "Docker at all, set docker_install to true to have it installed from the distribution's packages."
    )
    assert look(tmp_path, free_port(), container="x", engine_optional=True)["host"]["engine"] == ""


def test_too_little_disk(tmp_path: Path) -> None:
    failed = look(tmp_path, free_port(), free_megabytes=10**9)["msg"]
    start, _, rest = failed.partition(" has ")
    free, _, remedy = rest.partition(" MB free, ")
    assert (start, free.isdigit()) == (f"{tmp_path}/not/yet", True)
    assert remedy == "a deploy needs 1000000000 MB: free some space, or set state_dir to another file system."


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"port": 0}, "Port 0 does not exist: set a port from 1 to 65535."),
        ({"port": 65536}, "Port 65536 does not exist: set a port from 1 to 65535."),
        (
            {"address": "192.0.2.1"},  # of nobody (RFC 5737)
            "Nothing can listen on port 1 of 192.0.2.1: Cannot assign requested address; set another port or host.",
        ),
    ],
)
def test_nothing_can_listen_there(tmp_path: Path, where: dict[str, object], message: str) -> None:
    assert look(tmp_path, **{"port": 1, **where})["msg"] == message  # type: ignore[arg-type]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_low_port_as_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process needs the right to it; for a container the engine has it."""
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 10:
        pytest.skip("every user may listen on every port here")
    command = [str(shutil.which("setpriv")), "--reuid=65534", "--clear-groups"]
    where: dict[str, object] = {"address": "127.0.0.1", "port": 9, "directory": "/tmp"}
    assert run_module_as(command, "host_check", where)["msg"] == (
        "Nothing can listen on port 9 of 127.0.0.1: Permission denied; set another port or host."
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        engine(Path(name), monkeypatch, "case $1 in version) echo 27.1 ;; esac")
        assert run_module_as(command, "host_check", {**where, "container": "x"})["host"]["engine"] == "27.1"


@pytest.mark.parametrize(
    ("known", "file", "fit"), [(True, "", True), (False, "/s.json", True), (True, "/s.json", False)]
)
def test_passwords_of_a_database_that_another_controller_made(
    tmp_path: Path, known: bool, file: str, fit: bool
) -> None:
    state = tmp_path / "not" / "yet"
    if known:
        state.mkdir(parents=True)
        (state / "database.json").write_text("{}")
    found = look(tmp_path, free_port(), secrets_file=file)
    assert found.get("msg", "") == (
        ""
        if fit
        else f"/s.json on this controller does not hold the database's passwords, but {state} on this host belongs to "
        "a database that has them: they are in that file on the controller that deployed it, so copy it from there "
        "(mode 0600), or set the passwords in the inventory; nothing was generated."
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_may_not_write_the_state_directory() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        state = f"{name}/state/shop"
        command = [str(shutil.which("setpriv")), "--reuid=65534", "--clear-groups"]
        where: dict[str, object] = {"address": "127.0.0.1", "port": free_port(), "directory": state}
        assert run_module_as(command, "host_check", where)["msg"] == (
            f"User nobody may not write to {name}, and the state directory {state} is to be there: set state_dir to a "
            f"directory of this user's, make {state} and give it to nobody, or become root (ansible_become)."
        )
        Path(name).chmod(0o777)
        assert "msg" not in run_module_as(command, "host_check", where)


def test_root_without_the_right_to_a_user_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "unshare"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho unshare: unshare failed: Operation not permitted >&2; exit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert look(tmp_path, free_port(), embedded=True)["msg"] == (
        "PostgreSQL does not run as root, and root may not make a user namespace here to run it under another id "
        "(unshare: unshare failed: Operation not permitted): run as an ordinary user, allow user namespaces (sysctl "
        "user.max_user_namespaces, or the container's seccomp profile), or set database_runtime to container or "
        "external."
    )
    assert "msg" not in look(tmp_path, free_port())
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert "msg" not in look(tmp_path, free_port(), embedded=True)


def test_an_external_server_that_lets_nobody_in(tmp_path: Path) -> None:
    login = {"login_host": "127.0.0.1", "login_port": str(free_port()), "login_user": "admin", "login_db": "postgres"}
    failed = look(tmp_path, free_port(), server={**login, "login_password": "of-nobody"})["msg"]
    assert failed.startswith(f"The database server at 127.0.0.1:{login['login_port']} rejects role admin (")
    assert failed.endswith("): start it, or correct database_host, database_port and its password.")


def test_an_engine_that_the_environment_names_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(tmp_path, monkeypatch, "case $1 in version) echo 27.1 ;; esac")
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    warnings = look(tmp_path, free_port(), container="x")["warnings"]
    assert "The containers are those of DOCKER_HOST=tcp://192.0.2.1:2375, as the environment says." in str(warnings)


def test_a_file_that_must_be_there(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    files = {"database_ca_cert": str(file)}
    told = (
        f"{file}, which database_ca_cert names, is no file on this host: put it there (every host of the database and "
        "of the backend needs it), or correct database_ca_cert."
    )
    assert look(tmp_path, free_port(), files=files)["msg"] == told
    file.mkdir()
    assert look(tmp_path, free_port(), files=files)["msg"] == told
    file.rmdir()
    file.write_text("")
    assert "msg" not in look(tmp_path, free_port(), files=files)


def test_what_is_looked_for(tmp_path: Path) -> None:
    found = look(tmp_path, free_port(), look_for={"here": str(tmp_path), "not": str(tmp_path / "not")})
    assert found["host"]["found"] == ["here"]


def test_host_that_runs_no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "RUNNING", tmp_path / "not")
    for check in (True, False):
        assert look(tmp_path, free_port(), systemd=["monitoring"], check=check)["msg"] == (
            "monitoring is set, but this host does not run systemd, whose service it would be: leave monitoring out "
            "here."
        )


def test_host_that_starts_nothing_on_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "RUNNING", tmp_path / "not")
    for runs in (False, True):
        monkeypatch.setattr(cron, "runs", lambda runs=runs: runs)
        told = look(tmp_path, free_port(), timers=["backup_schedule"]).get("msg", "")
        assert (
            "nothing starts a program on time here: this host does not run systemd, and no cron runs" in told
        ) is not runs
