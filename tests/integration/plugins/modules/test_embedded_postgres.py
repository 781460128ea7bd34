# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded server through its whole life: made, restarted, killed, refused, stopped and deleted."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.modules import run_module, run_module_as

PASSWORD = "the-superuser's-password"


@dataclass
class Server:
    """One embedded server in a directory whose path a socket can have."""

    home: Path
    version: int

    @property
    def directory(self) -> Path:
        return self.home / "postgres"

    @property
    def arguments(self) -> dict[str, object]:
        return {
            "directory": str(self.directory),
            "socket_dir": str(self.home / "run"),
            "version": self.version,
            "superuser_password": PASSWORD,
            "settings": {"fsync": "off", "max_connections": 12},
        }

    def run(self, *, check: bool = False, **more: object) -> dict[str, Any]:
        return run_module("embedded_postgres", {**self.arguments, **more}, check=check)

    def ask(self, sql: str) -> object:
        """The single value of a query, or None for a statement."""
        with psycopg2.connect(
            host=str(self.home / "run"), user="postgres", password=PASSWORD, dbname="postgres"
        ) as opened, opened.cursor() as cursor:  # fmt: skip
            cursor.execute(sql)
            return cursor.fetchall()[0][0] if cursor.description else None

    def files(self) -> list[str]:
        return sorted(path.name for path in self.home.rglob("*"))

    def pid(self) -> int:
        """The server's process, from the file that it writes."""
        return int((self.directory / "data" / "postmaster.pid").read_text().splitlines()[0])

    def processes(self) -> list[int]:
        """The server's processes: those whose working directory is the data."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if Path(os.readlink(process / "cwd")) == self.directory / "data":
                    found.append(int(process.name))
            except OSError:  # gone
                continue
        return found


def home() -> Path:
    return Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))


def says(server: Server, *sentences: str) -> list[str]:
    return [sentence.format(server.directory) for sentence in sentences]


@pytest.fixture(scope="module")
def new(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(home(), request.config.getoption("--pg-version"))
    yield server
    server.run(state="absent")
    shutil.rmtree(server.home)


@pytest.fixture
def server(new: Server) -> Server:
    """A server that runs with the usual settings."""
    assert "msg" not in new.run()
    return new


def test_four_runs(new: Server) -> None:
    made = says(
        new, "Initialised a cluster in {}.", "Linked the server's programs into {}.", "Started the server on {}."
    )
    check = new.run(check=True)
    assert (check["changed"], check["actions"], check["server"]["pid"]) == (True, made, None)
    assert new.files() == []

    first = new.run()
    assert (first["changed"], first["actions"], first["server"]["created"]) == (True, made, True)
    pid = first["server"]["pid"]
    assert new.pid() == pid
    assert pid in new.processes()
    assert Path(first["server"]["bindir"], "pg_dump").is_file()
    assert stat.S_IMODE((new.directory / "data").stat().st_mode) == 0o700
    assert sorted(path.name for path in new.directory.iterdir()) == ["bin", "data", "server.log"]

    for check_mode in (True, False):
        again = new.run(check=check_mode)
        assert (again["changed"], again["actions"]) == (False, [])
        assert (again["server"]["pid"], again["server"]["created"]) == (pid, False)


def test_what_was_made(server: Server) -> None:
    for setting, value in {
        "data_checksums": "on", "listen_addresses": "", "max_connections": "12", "server_encoding": "UTF8",
        "password_encryption": "scram-sha-256",
    }.items():  # fmt: skip
        assert server.ask(f"SHOW {setting}") == value
    assert str(server.ask("SHOW server_version")).split(".")[0] == str(server.version)
    assert server.ask("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'") == 0
    for file in ("cmdline", "environ"):  # of the postmaster: its children inherit both, and come and go
        assert PASSWORD.encode() not in Path(f"/proc/{server.pid()}/{file}").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a user namespace")
def test_root_runs_it_in_a_user_namespace(server: Server) -> None:
    inside, outside, count = Path(f"/proc/{server.pid()}/uid_map").read_text().split()
    assert (pwd.getpwuid(int(inside)).pw_uid != 0, outside, count) == (True, "0", "1")


def test_changed_settings_restart_it(server: Server) -> None:
    server.ask("CREATE TABLE kept AS SELECT 42 AS x")
    before = server.pid()
    changed: dict[str, Any] = {"settings": {"fsync": "off", "max_connections": 7}}
    for check in (True, False):
        found = server.run(check=check, **changed)
        assert (found["changed"], found["actions"]) == (
            True,
            says(server, "Stopped the server on {}.", "Started the server on {}."),
        )
        assert (server.pid() == before) is check
    assert not server.run(**changed)["changed"]
    assert server.ask("SHOW max_connections") == "7"
    assert server.ask("SELECT x FROM kept") == 42


def test_refused_settings_are_named_and_mended(server: Server) -> None:
    failed = server.run(settings={"max_connections": "many"})
    assert failed["failed"]
    assert failed["msg"].startswith(
        f"pg_ctl of PostgreSQL {server.version} failed on {server.directory}: {server.directory}/server.log ends with: "
    )
    assert 'invalid value for parameter "max_connections": "many"' in failed["msg"]
    assert server.processes() == []
    assert server.run()["actions"] == says(server, "Started the server on {}.")


def test_killed_server_starts_again(server: Server) -> None:
    server.ask("CREATE TABLE survived AS SELECT 7 AS x; CHECKPOINT")
    pid = server.pid()
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() or server.processes():
        assert time.monotonic() < deadline, "the killed server is still there"
        time.sleep(0.02)
    found = server.run()
    assert found["actions"] == says(server, "Started the server on {}.")
    assert found["server"]["pid"] not in (None, pid)
    assert server.ask("SELECT x FROM survived") == 7


def test_moved_programs_are_linked_again(server: Server) -> None:
    """As after the Python environment was made anew in another place."""
    pid = server.pid()
    (server.directory / "bin").unlink()
    (server.directory / "bin").symlink_to("/nowhere")
    assert server.run()["actions"] == says(server, "Linked the server's programs into {}.")
    assert (server.directory / "bin" / "psql").is_file()
    assert server.pid() == pid


def test_directory_by_another_name(server: Server) -> None:
    """A running server is found whatever link leads to it."""
    link = server.home / "link"
    link.symlink_to(server.directory)
    assert server.run(directory=str(link))["actions"] == []
    link.unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"socket_dir": "/tmp/" + "x" * 89},
            f"The socket's directory '/tmp/{'x' * 89}' is too long for a Unix socket (108 of 107 bytes): "
            "choose a shorter state directory.",
        ),
        (
            {"directory": "/proc/new"},
            f"The server in /proc/new can't be managed by uid {os.geteuid()}: No such file or directory: "
            "'/proc/new'; fix that and run again.",
        ),
        (
            {"directory": "/tmp/new", "superuser_password": None},
            "A new cluster needs superuser_password: set postgres_superuser_password.",
        ),
    ],
)
def test_refused(server: Server, arguments: dict[str, Any], message: str) -> None:
    assert server.run(**arguments)["msg"] == message


def test_another_version(server: Server) -> None:
    other = {16: 18, 18: 16}[server.version]
    for check in (True, False):
        assert server.run(check=check, version=other)["msg"] == (
            f"{server.directory}/data holds a cluster of PostgreSQL {server.version} but {other} is wanted: "
            f"go back to {server.version}, take a backup, and restore it into a new environment."
        )
    assert server.processes()


def test_socket_directory_that_others_may_write_to(server: Server) -> None:
    server.run(state="stopped")
    run = server.home / "run"
    run.chmod(0o777)
    assert server.run()["msg"] == (
        f"The socket's directory '{run}' belongs to uid {os.geteuid()} or others may write to it: remove it, or "
        "choose another state directory."
    )
    run.chmod(0o700)


@pytest.mark.parametrize(
    ("state", "actions", "left"),
    [
        ("stopped", ["Stopped the server on {}."], True),
        ("absent", ["Stopped the server on {}.", "Deleted {} and all data in it."], False),
    ],
)
def test_end(server: Server, state: str, actions: Sequence[str], left: bool) -> None:
    for check in (True, False):
        found = server.run(check=check, state=state)
        assert (found["changed"], found["actions"]) == (True, says(server, *actions))
        assert bool(server.processes()) is check
    assert (server.directory / "data" / "PG_VERSION").exists() is left
    for check in (True, False):
        again = server.run(check=check, state=state)
        assert (again["changed"], again["actions"]) == (False, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_ordinary_user(request: pytest.FixtureRequest) -> None:
    server = Server(home(), request.config.getoption("--pg-version"))
    user = pwd.getpwnam("nobody").pw_uid
    os.chown(server.home, user, -1)
    command = ["setpriv", f"--reuid={user}", "--clear-groups"]
    try:
        found = run_module_as(command, "embedded_postgres", server.arguments)
        assert os.stat(f"/proc/{found['server']['pid']}").st_uid == user
        assert Path(f"/proc/{found['server']['pid']}/uid_map").read_text() == Path("/proc/self/uid_map").read_text()
        assert server.ask("SELECT 1") == 1
    finally:
        run_module_as(command, "embedded_postgres", {**server.arguments, "state": "absent"})
        shutil.rmtree(server.home)


def test_the_operators_environment_changes_nothing(new: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = {
        "PGPORT": "54915", "PGHOST": "192.0.2.1", "PGUSER": "somebody", "PGPASSWORD": "of-somebody",
        "PGDATABASE": "elsewhere", "PGOPTIONS": "-c default_transaction_read_only=on", "PGSERVICE": "nowhere",
        "PGSSLMODE": "verify-full", "PGTZ": "Asia/Tokyo", "PGCLIENTENCODING": "SJIS", "PGDATA": "/nowhere",
        "PGDATESTYLE": "German", "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8",
    }  # fmt: skip
    new.run(state="stopped")
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    assert "msg" not in new.run()
    assert (new.home / "run" / ".s.PGSQL.5432").is_socket()
    login = {
        "login_unix_socket": str(new.home / "run"), "login_user": "postgres", "login_password": PASSWORD,
        "login_db": "surroundings",
    }  # fmt: skip
    roles = {
        f"{role}{suffix}": f"{role}-of-the-surroundings"
        for role in ("owner", "application", "readonly")
        for suffix in ("", "_password")
    }
    monkeypatch.setenv("PGOPTIONS", hostile["PGOPTIONS"])
    monkeypatch.setenv("PGSERVICE", hostile["PGSERVICE"])
    monkeypatch.setenv("PGCLIENTENCODING", hostile["PGCLIENTENCODING"])
    made = run_module("database", {**login, **roles, "environment_name": "test", "identity_file": str(new.home / "id")})
    assert made.get("msg") is None
    assert made["database"]["created"] is True
