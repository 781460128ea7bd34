# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of our own that listens on TCP: its administrator comes over the socket alone."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from conftest import Postgres, start
from support.access import PASSWORD, make_site

RELOAD_TIME = 10  # seconds


@pytest.fixture
def listening(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    more = f"-c listen_addresses=127.0.0.1 -c port={port} -c ssl=off"
    server = start(request.config.getoption("--pg-version"), directory, more)
    server.port = port
    yield server
    server.run("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)


def over_tcp(server: Postgres, role: str, password: str, database: str, **more: object) -> None:
    psycopg2.connect(host="127.0.0.1", port=server.port, user=role, password=password, dbname=database, **more).close()


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RELOAD_TIME
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def refused(server: Postgres, database: str) -> bool:
    try:
        over_tcp(server, server.user, server.password, database)
    except psycopg2.OperationalError as error:
        return 'pg_hba.conf rejects connection for host "127.0.0.1", user "postgres"' in str(error)
    return False


def test_the_administrator_comes_over_the_socket_alone(listening: Postgres, tmp_path: Path) -> None:
    site = make_site(listening, tmp_path)
    site.access()
    file = listening.directory / "data" / "pg_hba.conf"
    before = file.read_text()
    assert not refused(listening, site.database)
    actions = [f"Made {file} let postgres in over the socket alone.", f"Had the server read {file} again."]

    def told(*, check: bool = False) -> list[str]:
        return [
            action
            for action in site.access(dedicated=True, released=True, check=check)["actions"]
            if str(file) in action
        ]

    # Until a release of ours serves, what does may log in as the administrator.
    assert not [action for action in site.access(dedicated=True, check=True)["actions"] if str(file) in action]
    assert told(check=True) == actions
    assert file.read_text() == before
    assert not refused(listening, site.database)

    assert told() == actions
    wait_until(lambda: refused(listening, site.database))
    assert file.read_text() == 'host all,replication "postgres" all reject\n' + before
    assert (file.stat().st_mode & 0o777, file.stat().st_uid) == (0o600, (listening.directory / "data").stat().st_uid)
    with pytest.raises(psycopg2.OperationalError, match="rejects replication connection"):
        over_tcp(listening, "postgres", listening.password, "postgres", replication="true")
    for role in (site.roles.owner, site.roles.application, site.roles.readonly):
        over_tcp(listening, role, PASSWORD, site.database)
    assert site.execute("SELECT 1") == [(1,)]  # over the socket

    for check in (True, False):
        assert not site.access(dedicated=True, released=True, check=check)["changed"]

    # As a run leaves it that was ended in between, and as somebody may edit it.
    # The server tells a file's time in seconds.
    later = "SELECT pg_conf_load_time() < date_trunc('second', clock_timestamp())"
    wait_until(lambda: site.execute(later) == [(True,)])
    file.write_text("# mine\n" + file.read_text())
    assert told(check=True) == told() == actions[1:]
    file.write_text("host all all 127.0.0.1/32 scram-sha-256\n" + file.read_text())
    assert told() == actions
    wait_until(lambda: refused(listening, site.database))
    assert not site.access(dedicated=True, released=True)["changed"]

    file.write_text("nonsense\n" + file.read_text())
    assert site.access(dedicated=True, released=True)["msg"].startswith(f"The server can't read line 1 of {file} (")


def test_a_server_that_does_not_listen_needs_nothing(postgres: Postgres, tmp_path: Path) -> None:
    site = make_site(postgres, tmp_path)
    planned = site.access(dedicated=True, check=True)["actions"]
    assert not [action for action in planned if "pg_hba.conf" in action]
