# SPDX-License-Identifier: GPL-3.0-or-later
"""Each way in which a database can't be reached is told at its step, and no later step is tried."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, connect
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.diagnosis import (
    FAILED,
    NOT_REACHED,
    OK,
    SSL_REQUEST,
    STEPS,
    Attempt,
    Step,
    diagnose,
)
from conftest import Postgres, start
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.environment import free_port
from support.missing import missing
from support.modules import run_module_as
from support.pooler import pooler, program

NAMES = [name for name, _step in STEPS]
PASSWORD = "the role's password"
IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")


@pytest.fixture(scope="module")
def listening(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A server that listens on a port of its own, with a database and roles."""
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    port = free_port()
    server = start(request.config.getoption("--pg-version"), directory, f"-c listen_addresses=127.0.0.1 -c port={port}")
    server.port = port
    hba = directory / "data" / "pg_hba.conf"
    hba.write_text(f"host all shut_out 127.0.0.1/32 reject\n{hba.read_text()}")
    for role in ("shop_app", "stranger", "shut_out"):
        server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")
    server.execute("CREATE DATABASE shop")
    server.execute("CREATE DATABASE closed ALLOW_CONNECTIONS false")
    server.execute("REVOKE CONNECT ON DATABASE shop FROM PUBLIC")
    server.execute("GRANT CONNECT ON DATABASE shop TO shop_app")
    server.execute("SELECT pg_reload_conf()")
    yield server
    server.run("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)


@pytest.fixture
def good(listening: Postgres) -> Server:
    return Server("shop_app", "shop", PASSWORD, "127.0.0.1", listening.port, connect_timeout=1)


def failed(server: Server) -> Step:
    """The step that fails; those before it are all right, and those behind it were not reached."""
    steps = diagnose(server)
    assert [step.name for step in steps] == NAMES
    states = [step.state for step in steps]
    at = states.index(FAILED)
    assert states == [OK] * at + [FAILED] + [NOT_REACHED] * (len(NAMES) - at - 1)
    assert all(step.seconds is not None and step.told for step in steps[: at + 1])
    assert all(step.seconds is None and not step.told for step in steps[at + 1 :])
    assert PASSWORD not in str(steps)
    return steps[at]


def refuses(server: Server) -> bool:
    """Whether libpq itself can't connect."""
    try:
        connect(server).close()
    except SlipwayError:
        return True
    return False


def test_all_is_well(listening: Postgres, good: Server) -> None:
    socket_file = f"{listening.socket_dir}/.s.PGSQL.{listening.port}"
    version = listening.execute("SHOW server_version")[0][0]
    rest = [
        "role shop_app is let in", "database shop is there", "may connect; there are no tables yet",
        f"PostgreSQL {version}", "none: the session is the server's own",
    ]  # fmt: skip
    by_port = [
        "127.0.0.1 is 127.0.0.1", f"127.0.0.1 answers on port {listening.port}", "it speaks PostgreSQL's protocol",
        "the server offers none, and ssl_mode prefer goes on without",
    ]  # fmt: skip
    by_file = [
        "a Unix socket needs none", f"{socket_file} answers", "it speaks PostgreSQL's protocol",
        "a Unix socket needs none",
    ]  # fmt: skip
    for server, begin in (good, by_port), (replace(good, socket_dir=str(listening.socket_dir)), by_file):
        steps = diagnose(server)
        assert [step.state for step in steps] == [OK] * len(NAMES), steps
        assert [step.told for step in steps] == begin + rest


def answering(said: bytes = b"") -> Callable[[socket.socket], None]:
    """Say that at once, and nothing more, whatever the client says."""

    def serve(opened: socket.socket) -> None:
        opened.sendall(said)
        opened.settimeout(5)
        while opened.recv(100):
            pass

    return serve


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], None] | None) -> Iterator[int]:
    """Something else on a port; without ``serve`` a host that takes no connection and refuses none."""
    with socket.create_server(("127.0.0.1", 0), backlog=5 if serve else 0) as listens:
        port: int = listens.getsockname()[1]
        if serve is None:
            with contextlib.ExitStack() as stack:
                for _ in range(3):  # as many as wait in its queue
                    waiting = stack.enter_context(contextlib.closing(socket.socket()))
                    waiting.setblocking(False)
                    waiting.connect_ex(("127.0.0.1", port))
                yield port
            return

        def work() -> None:
            while True:
                try:
                    opened, _address = listens.accept()
                except OSError:
                    return
                with opened, contextlib.suppress(OSError):
                    serve(opened)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            listens.shutdown(socket.SHUT_RDWR)
            thread.join(timeout=20)


@pytest.mark.parametrize(
    ("serve", "step", "told"),
    [
        (None, "port", r"Nothing answers at 127\.0\.0\.1:\d+ \(127\.0\.0\.1: timed out\): see that the host runs .*"),
        (answering(), "protocol", r"What listens at .* says nothing within 1 s: correct the port, or .*"),
        (lambda _opened: None, "protocol", r"What listens at .* closes the connection: correct the port, or .*"),
        (answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "protocol",
         r"What listens at .* answers 'HTTP/1\.1 400 Bad Request', which is not PostgreSQL's protocol: .*"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n"), "protocol",
         r"What listens at .* answers 'SSH-2\.0-OpenSSH_9\.2', which is not PostgreSQL's protocol: .*"),
        (answering(b"S"), "TLS", r"TLS with 127\.0\.0\.1:\d+ fails \(.*\): see the server's log, and .*"),
    ],
    ids=["drops", "silent", "closes", "http", "ssh", "no-handshake"],
)  # fmt: skip
def test_another_than_the_server(
    good: Server, serve: Callable[[socket.socket], None] | None, step: str, told: str
) -> None:
    with listener(serve) as port:
        found = failed(replace(good, port=port))
    assert found.name == step
    assert re.fullmatch(told, found.told), found.told


@pytest.mark.parametrize(
    ("change", "step", "told"),
    [
        ({"host": "nowhere.invalid"}, "name",
         r"The name 'nowhere\.invalid' stands for no address on this host \(.+\): correct the server's address, or .*"),
        ({"host": "two..dots"}, "name", r"The name 'two\.\.dots' stands for no address on this host \(.+\): .*"),
        ({"port": 0}, "port",
         r"Nothing answers at 127\.0\.0\.1:\d+ \(127\.0\.0\.1: Connection refused\): start the server, .*"),
        ({"ssl_mode": "require"}, "TLS",
         r"The server offers no TLS, and ssl_mode is require: turn it on there \(ssl = on, with .*"),
        ({"password": "another"}, "login",
         r"The server does not take role shop_app with this password \(.*password authentication failed.*\): .*"),
        ({"user": "nobody"}, "login", r"The server does not take role nobody with this password \(.*"),
        ({"user": "shut_out"}, "login",
         r"The server at .* does not let in role shut_out \(.*pg_hba\.conf rejects.*\): have a line .*"),
        ({"database": "shopp"}, "database",
         r"The server has no database 'shopp', but closed, postgres, shop: correct the name, create it, or see .*"),
        ({"user": "stranger"}, "rights",
         r"Role stranger is not let into database shop \(.*\): GRANT CONNECT ON DATABASE \"shop\" TO \"stranger\"\."),
        ({"database": "closed"}, "rights",
         r"Role shop_app is not let into database closed \(.*\): ALTER DATABASE \"closed\" ALLOW_CONNECTIONS true .*"),
    ],
)  # fmt: skip
def test_a_step_that_fails(good: Server, change: dict[str, Any], step: str, told: str) -> None:
    change = {"port": free_port()} if change == {"port": 0} else change
    server = replace(good, **change)
    found = failed(server)
    assert found.name == step
    assert re.fullmatch(told, found.told), found.told
    assert refuses(server)


@pytest.mark.parametrize(
    ("change", "step", "told"),
    [
        ({"database": "shopp"}, "database",
         "The server has no database 'shopp': correct the name, create it, or see whether this is the server that is "),
        ({"user": "stranger"}, "rights", "Role stranger is not let into database shop ("),
        ({"database": "closed"}, "rights", "Role shop_app is not let into database closed ("),
        ({"password": "another"}, "login", "The server does not take role shop_app with this password ("),
    ],
)  # fmt: skip
def test_a_server_whose_other_databases_are_closed(
    listening: Postgres, good: Server, change: dict[str, str], step: str, told: str
) -> None:
    """As one that Slipway runs: there is no other database to look from."""
    listening.execute("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC")
    try:
        found = failed(replace(good, **change))
        assert {each.state for each in diagnose(good)} == {OK}
    finally:
        listening.execute("GRANT CONNECT ON DATABASE postgres, template1 TO PUBLIC")
    assert found.name == step
    assert found.told.startswith(told)


def test_schemas_that_may_not_be_used(listening: Postgres, good: Server) -> None:
    listening.execute("CREATE SCHEMA shut; CREATE TABLE shut.t (x int)", "shop")
    try:
        found = failed(good)
        assert (found.name, found.told) == (
            "rights",
            'Role shop_app may use none of the schemas with tables, shut: GRANT USAGE ON SCHEMA "shut" TO '
            '"shop_app", and the rights on its tables.',
        )
        listening.execute("CREATE TABLE t (x int)", "shop")
        told = {step.name: step.told for step in diagnose(good)}
        assert told["rights"] == "may connect, and use public, but not shut"
    finally:
        listening.execute("DROP SCHEMA shut CASCADE; DROP TABLE IF EXISTS t", "shop")


def test_a_socket_that_is_not_the_servers(listening: Postgres, good: Server, tmp_path: Path) -> None:
    file = tmp_path / ".s.PGSQL.5432"
    server = replace(good, socket_dir=str(tmp_path), port=5432)
    assert failed(server).told == (
        f"There is no socket {file}: start the server, or correct the socket's directory or the port."
    )
    file.touch()
    assert failed(server).told == f"{file} is no socket: correct the socket's directory or the port."
    file.unlink()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(file))
    found = failed(server)
    assert found.name == "port"
    assert found.told == (
        f"Nobody answers at {file} (Connection refused), which a server has left that does not run: start it."
    )


def test_a_socket_that_this_user_may_not_reach(listening: Postgres) -> None:
    if os.geteuid():
        missing("Becoming another user needs root.")
    login = {**listening.login("shop"), "connect_timeout": 1}
    closed = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))  # 0700
    try:
        (closed / f".s.PGSQL.{listening.port}").touch()
        found = run_module_as(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
            "connection_info",
            {**login, "login_unix_socket": str(closed)},
        )
    finally:
        shutil.rmtree(closed)
    assert found["problem"].startswith(f"This user may not reach {closed}/.s.PGSQL.{listening.port} (Permission denied")


def test_a_pooler_in_between(listening: Postgres, good: Server) -> None:
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    try:
        debians = program(directory)
        for mode in ("transaction", "session"):
            with pooler(debians, listening, directory, good.user, PASSWORD, mode) as port:
                found = failed(replace(good, port=port))
            assert found.name == "pooler"
            assert found.told.startswith(
                "A pooler such as PgBouncer is between here and the server, since the session "
            )
    finally:
        shutil.rmtree(directory)


# TLS


@dataclass(frozen=True)
class Signed:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, directory: Path) -> Path:
        """The certificate's file; the key's lies beside it."""
        directory.mkdir(exist_ok=True)
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        key = self.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
        (directory / "server.key").write_bytes(key)
        (directory / "server.crt").write_bytes(self.certificate.public_bytes(pem))
        return directory / "server.crt"


def sign(name: str, by: Signed | None = None, begin: int = -1, end: int = 365) -> Signed:
    """A certificate for a server of this name, valid between two days from now; an authority's own without ``by``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=begin))
        .not_valid_after(now + datetime.timedelta(days=end))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
    )
    if by:
        built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Signed(built.sign(by.key if by else key, hashes.SHA256()), key)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


@dataclass(frozen=True)
class Contained:
    """Debian's server, which knows TLS, in a container; reached as localhost."""

    name: str
    server: Server

    def execute(self, *statements: str) -> None:
        with contextlib.closing(connect(self.server)) as opened, opened.cursor() as cursor:
            opened.autocommit = True
            for statement in statements:
                cursor.execute(statement)

    def present(self, signed: Signed, directory: Path) -> None:
        """Have the server show this certificate from now on."""
        signed.write(directory)
        docker("exec", self.name, "rm", "-rf", "/tmp/tls")
        docker("cp", str(directory), f"{self.name}:/tmp/tls")
        docker("exec", self.name, "sh", "-c", "chown -R postgres /tmp/tls && chmod 600 /tmp/tls/server.key")
        before = self.presented()
        self.execute(
            "ALTER SYSTEM SET ssl_cert_file = '/tmp/tls/server.crt'",
            "ALTER SYSTEM SET ssl_key_file = '/tmp/tls/server.key'",
            "ALTER SYSTEM SET ssl = on",
            "SELECT pg_reload_conf()",
        )
        deadline = time.monotonic() + 20
        while self.presented() == before:
            assert time.monotonic() < deadline, docker("logs", self.name)
            time.sleep(0.05)

    def presented(self) -> bytes:
        """The certificate that a client is shown."""
        with socket.create_connection(("127.0.0.1", self.server.port)) as opened:
            opened.sendall(SSL_REQUEST)
            if opened.recv(1) != b"S":
                return b""
            trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
            with trusting.wrap_socket(opened) as secure:
                return secure.getpeercert(binary_form=True) or b""


@pytest.fixture(scope="module")
def contained() -> Iterator[Contained]:
    name = f"slipway-test-tls-{uuid.uuid4().hex[:8]}"
    docker(
        "run", "--detach", "--name", name, "--stop-signal", "SIGINT", "--env", f"POSTGRES_PASSWORD={PASSWORD}",
        "--publish", "127.0.0.1::5432", IMAGE,
    )  # fmt: skip
    try:
        port = int(docker("port", name, "5432").rsplit(":", 1)[1])
        server = Server("postgres", "postgres", PASSWORD, "localhost", port, connect_timeout=5)
        deadline = time.monotonic() + 60
        while refuses(server):
            assert time.monotonic() < deadline, docker("logs", name)
            time.sleep(0.1)
        yield Contained(name, server)
    finally:
        docker("rm", "--force", "--volumes", name)


@pytest.mark.container
def test_tls(contained: Contained, tmp_path: Path) -> None:
    authority, another = sign("authority"), sign("authority")
    ours = str(authority.write(tmp_path / "ours"))
    server = contained.server
    modes = {mode: replace(server, ssl_mode=mode, ca_cert=ours) for mode in ("require", "verify-ca", "verify-full")}

    for name, mode in modes.items():
        found = failed(mode)
        assert found.told.startswith(f"The server offers no TLS, and ssl_mode is {name}: turn it on there")
        assert refuses(mode)

    cases = {
        "good": sign("localhost", authority),
        "soon": sign("localhost", authority, end=7),
        "name": sign("db.example.com", authority),
        "expired": sign("localhost", authority, begin=-30, end=-1),
        "future": sign("localhost", authority, begin=1),
        "another": sign("localhost", another),
    }
    # What the step says by mode: its beginning, and whether it fails.
    wrong = {
        "name": "The server's certificate is of db.example.com and not of localhost: name the server so, have a ",
        "expired": "The server's certificate, or its authority's, has expired: have a new one made, and reload the ",
        "future": "The server's certificate is not valid yet: see the clocks of this host and of the server's.",
        "another": f"The authority in {ours} did not sign the server's certificate (",
    }
    for case, signed in cases.items():
        contained.present(signed, tmp_path / case)
        for name, mode in modes.items():
            fails = case in wrong and (name == "verify-full" or case != "name")
            assert refuses(mode) == fails, (case, name)  # by libpq itself
            if fails:
                step = failed(mode)
                assert step.name == "TLS"
                assert step.told.startswith(wrong[case]), (case, name, step.told)
            else:
                steps = {step.name: step for step in diagnose(mode)}
                assert {step.state for step in steps.values()} == {OK}, (case, name, steps)
                assert ("renew it" in steps["TLS"].told) == (case == "soon")
                of = "db.example.com" if case == "name" else "localhost"
                assert f"; the certificate is of {of}, until " in steps["TLS"].told
    # Whoever it is, where nobody is asked for.
    blind = replace(server, ssl_mode="require")
    assert {step.name: step.told for step in diagnose(blind)}["TLS"] == (
        "TLSv1.3; ssl_mode require does not look at whose certificate it is"
    )
    assert failed(replace(server, ssl_mode="verify-ca")).told.startswith("ssl_mode is verify-ca, and no file is named")
    missing = str(tmp_path / "none.pem")
    assert failed(replace(server, ssl_mode="verify-ca", ca_cert=missing)).told == (
        f"The authority's certificate {missing} can't be read (No such file or directory): put it on this host in PEM "
        "format."
    )


def test_a_server_that_goes_away_meanwhile(good: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    reach, closed = Attempt.reach, free_port()

    def once(attempt: Attempt, address: str = "") -> socket.socket:
        opened = reach(attempt, address)
        attempt.server = replace(attempt.server, port=closed)  # where nobody listens
        return opened

    monkeypatch.setattr(Attempt, "reach", once)
    found = failed(good)
    assert found.name == "protocol"
    assert found.told == (
        f"127.0.0.1:{good.port} answered before, and does not now (Connection refused): run again, and see its log."
    )


def test_a_server_that_is_too_old(good: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of its age can be had here; what libpq says of the server's version is another number."""
    monkeypatch.setattr(Attempt, "version", property(lambda _attempt: 110022))
    found = failed(good)
    assert (found.name, found.told) == (
        "version",
        "The server is PostgreSQL 11: Slipway needs 12 or newer, upgrade the server.",
    )
