# SPDX-License-Identifier: GPL-3.0-or-later
"""A tunnel to a real server; what runs on the host runs here as on one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._reach.tunnel import Tunnel, opened, probe, pump
from conftest import Postgres
from psycopg2.extensions import connection as Connection
from support.orphans import descendants, wait_until

pytestmark = pytest.mark.once

BIG = 3_000_000  # bytes, many times what a socket holds


def connect(server: Postgres, tunnel: Tunnel) -> Connection:
    where = {"host": tunnel.directory} if tunnel.directory else {"host": "127.0.0.1", "port": tunnel.port}
    return psycopg2.connect(user=server.user, password=server.password, dbname="postgres", **where)


def target(server: Postgres) -> str:
    return f"{server.socket_dir}/.s.PGSQL.{server.port}"


@pytest.mark.parametrize("over_socket", [True, False])
def test_what_is_sent_arrives_and_nothing_is_left(postgres: Postgres, over_socket: bool) -> None:
    command = pump(sys.executable, target(postgres))
    with opened(command, over_socket) as tunnel:
        if over_socket:
            assert stat.S_IMODE(os.stat(tunnel.directory).st_mode) == 0o700
        with contextlib.ExitStack() as stack:
            for connection in [stack.enter_context(contextlib.closing(connect(postgres, tunnel))) for _ in range(3)]:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT repeat('x', %s), length(%s)", [BIG, "y" * BIG])
                    assert cursor.fetchone() == ("x" * BIG, BIG)
            assert len(descendants(os.getpid())) >= 3
        wait_until(lambda: not pumps())  # with their connections
        left = connect(postgres, tunnel)
        assert pumps()
    assert not pumps()
    with pytest.raises(psycopg2.OperationalError), left.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert not Path(tunnel.directory or "/nowhere").exists()


def pumps() -> list[int]:
    """The processes of tunnels that live."""
    found = []
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if b"create_connection" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def test_a_statement_is_cancelled_through_it(postgres: Postgres) -> None:
    with opened(pump(sys.executable, target(postgres)), True) as tunnel:
        login = {"PGHOST": tunnel.directory, "PGUSER": postgres.user, "PGPASSWORD": postgres.password}
        command = [str(postgres.bindir / "psql"), "-d", "postgres", "-c", "SELECT pg_sleep(600)"]
        with subprocess.Popen(command, env={**os.environ, **login}, stderr=subprocess.PIPE, text=True) as psql:
            sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"
            wait_until(lambda: postgres.execute(sleeping) == [(1,)])
            psql.send_signal(signal.SIGINT)
            assert "canceling statement due to user request" in psql.communicate(timeout=60)[1]


def test_a_port_of_the_host_is_reached_too() -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        command = pump(sys.executable, f"127.0.0.1:{server.getsockname()[1]}")
        tunnel = stack.enter_context(opened(command, False))
        near = stack.enter_context(socket.create_connection(("127.0.0.1", tunnel.port)))
        far = server.accept()[0]
        near.sendall(b"there")
        assert far.recv(9) == b"there"
        far.sendall(b"and back")
        assert near.recv(9) == b"and back"
        far.close()
        assert near.recv(9) == b""


def test_a_way_that_is_closed_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        SlipwayError,
        match=r"^The database can't be reached through host db: FileNotFoundError: \[Errno 2\] No such file or "
        r"directory; it takes a key that ssh uses without asking, and sudo without a password where ",
    ):
        probe(pump(sys.executable, str(tmp_path / "none"), "probe"), "db")
    with pytest.raises(SlipwayError, match="through host db: there is no program no-such-ssh; "):
        probe(["no-such-ssh"], "db")


def test_a_way_that_is_open_is_no_error(postgres: Postgres) -> None:
    probe(pump(sys.executable, target(postgres), "probe"), "db")
