# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the server and the application insist on, TLS and passwords too, a session ends up in the one database."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.server_certificate import Keeper
from ansible_collections.slipway.deploy.plugins.module_utils._release import copy_relay
from support.release import docker, free_port

pytestmark = [pytest.mark.once, pytest.mark.container]
NAME = "slipway-test-copy-relay"
IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")
PASSWORDS = {
    "by_scram": "hunter2",
    "odd": "schlüssel\u00a0ﬁ",
    "by_md5": "hunter3",
    "in_clear": "hunter4",
    "trusted": "",
}


@dataclass(frozen=True)
class Server:
    """A server in a container that takes nobody by TCP without TLS."""

    port: int
    authority: Path
    socket: Path


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    keeper, port = Keeper(directory / "tls", "127.0.0.1"), free_port()
    keeper.renew(["authority", "server"])
    (directory / "run").mkdir()
    (directory / "run").chmod(0o777)
    docker("run", "--detach", f"--name={NAME}", f"--publish=127.0.0.1:{port}:5432", "--env=POSTGRES_PASSWORD=hunter1",
           f"--volume={directory}/run:/var/run/postgresql", IMAGE)  # fmt: skip
    # The server that initialises it listens on the socket alone.
    assert wait_until(lambda: "accepting" in within("pg_isready", "--host=127.0.0.1", check=False), 60)
    rules = (
        "local all postgres trust\nlocal all all scram-sha-256\nhostssl all by_md5 all md5\n"
        "hostssl all in_clear all password\nhostssl all trusted all trust\nhostssl all all all scram-sha-256\n"
    )
    data = sql("SHOW data_directory").strip()
    for name, text in {"pg_hba.conf": rules, "slipway.pem": keeper.certificate().server}.items():
        within("sh", "-c", f"umask 077 && cat > {data}/{name} && chown postgres {data}/{name}", given=text)
    for name, setting in {"ssl_cert_file": "slipway.pem", "ssl_key_file": "slipway.pem", "ssl": "on"}.items():
        sql(f"ALTER SYSTEM SET {name} = '{setting}'")
    sql("CREATE DATABASE copy")
    for name, password in PASSWORDS.items():
        kind = "md5" if name == "by_md5" else "scram-sha-256"
        sql(f"SET password_encryption = '{kind}'; CREATE ROLE {name} LOGIN PASSWORD '{password or 'none'}'")
    sql("SELECT pg_reload_conf()")
    yield Server(port, keeper.directory / "authority.pem", directory / "run/.s.PGSQL.5432")
    docker("rm", "--force", "--volumes", NAME)
    shutil.rmtree(directory)


def within(*command: str, given: str = "", check: bool = True) -> str:
    done = subprocess.run(
        ["docker", "exec", "--interactive", NAME, *command], input=given, capture_output=True, text=True, check=check
    )
    return done.stdout


def sql(text: str) -> str:
    return within("psql", "--username=postgres", "--tuples-only", "--set=ON_ERROR_STOP=1", given=text)


@dataclass
class Relay:
    """One that listens at a port, with a certificate for that."""

    port: int
    authority: Path
    errors: Path

    def session(self, user: str = "by_scram", **more: object) -> tuple[str, str, bool]:
        """The database and the user of a session, and whether it is encrypted up to the relay."""
        password = PASSWORDS[user] or "any"
        tls = {"sslmode": "verify-full", "sslrootcert": str(self.authority)}
        told = {"host": "127.0.0.1", "port": self.port, "dbname": "shop", "user": user, "password": password, **tls}
        with psycopg2.connect(**told | more) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_database(), current_user")
            found = cursor.fetchone()
            return *found, bool(connection.info.ssl_in_use)

    def noted(self) -> list[str]:
        lines = self.errors.read_text().splitlines() if self.errors.exists() else []
        return [json.loads(line)["message"] for line in lines]


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Callable[..., Relay]]:
    running = []

    def begin(reached: object, **more: object) -> Relay:
        keeper = Keeper(tmp_path / "own", "127.0.0.1")
        keeper.renew(["authority", "server"])
        found = Relay(free_port(), keeper.directory / "authority.pem", tmp_path / "errors")
        spec = {"listen": ["127.0.0.1", found.port], "server": reached, "database": "copy", "errors": str(found.errors),
                "certificate": str(keeper.directory / "server.pem"), **more}  # fmt: skip
        running.append(subprocess.Popen([sys.executable, "-I", copy_relay.__file__, json.dumps(spec)]))

        def listens() -> bool:
            with socket.socket() as client:
                return not client.connect_ex(("127.0.0.1", found.port))

        assert wait_until(listens, 10)
        return found

    yield begin
    for process in running:
        assert process.poll() is None
        process.kill()
        process.wait()


def over_tls(server: Server, mode: str = "verify-full") -> dict[str, object]:
    return {"reached": ["127.0.0.1", server.port], "ssl_mode": mode, "authority": str(server.authority)}


@pytest.mark.parametrize("user", PASSWORDS)
def test_however_the_server_wants_a_password(server: Server, relay: Callable[..., Relay], user: str) -> None:
    """With TLS on both sides, which SCRAM alone would be bound to."""
    assert relay(**over_tls(server)).session(user) == ("copy", user, True)


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_however_the_server_is_looked_at(server: Server, relay: Callable[..., Relay], mode: str) -> None:
    begun = relay(**over_tls(server, mode))
    assert begun.session() == ("copy", "by_scram", True)
    assert begun.session(sslmode="disable") == ("copy", "by_scram", False)


def test_a_socket_takes_the_applications_own_scram(server: Server, relay: Callable[..., Relay]) -> None:
    begun = relay(str(server.socket))
    assert begun.session() == ("copy", "by_scram", True)
    assert begun.session(sslmode="disable") == ("copy", "by_scram", False)


def test_a_wrong_password_is_refused_by_the_server(server: Server, relay: Callable[..., Relay]) -> None:
    begun = relay(**over_tls(server))
    with pytest.raises(psycopg2.OperationalError, match='password authentication failed for user "by_scram"'):
        begun.session(password="wrong")
    assert begun.noted() == ['password authentication failed for user "by_scram"']
    assert begun.session() == ("copy", "by_scram", True)


def test_a_server_that_is_another_is_not_talked_to(server: Server, relay: Callable[..., Relay], tmp_path: Path) -> None:
    Keeper(tmp_path / "other", "127.0.0.1").renew(["authority"])
    begun = relay(**over_tls(server) | {"authority": str(tmp_path / "other/authority.pem")})
    with pytest.raises(psycopg2.OperationalError):
        begun.session()
    assert "The server of the copy can't be used: " in begun.noted()[0]
    assert "certificate verify failed" in begun.noted()[0]


def test_a_server_that_insists_on_tls_says_so(server: Server, relay: Callable[..., Relay]) -> None:
    begun = relay(**over_tls(server, "disable"))
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        begun.session()


def test_what_runs_is_cancelled(server: Server, relay: Callable[..., Relay]) -> None:
    told = {"host": "127.0.0.1", "port": relay(**over_tls(server)).port, "user": "by_scram", "password": "hunter2"}
    connection = psycopg2.connect(dbname="shop", **told)
    cancels = threading.Timer(1, connection.cancel)
    cancels.start()
    with connection.cursor() as cursor, pytest.raises(psycopg2.extensions.QueryCanceledError):
        cursor.execute("SELECT pg_sleep(20)")
    connection.close()
