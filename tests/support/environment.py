# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment `local` of its own, driven by the playbooks and looked at past them: SQL, HTTP, files and /proc."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import pytest
from support.release import images

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
DATABASE = "autotest"
LONGEST_RUN = 600  # seconds; many times what a run takes, for a busy machine

# As the callback slipway.deploy.story tells it: a failure below its head, and what is told beside a label.
FAILURE = re.compile(
    r"^\S.*  FAILED\b.*\n(?P<below>(?:    (?!warning: ).*\n|\n)+)"
    r"|^(?:STOPPED|[A-Z]+ +no:) +(?P<beside>.*\n(?: {17}.*\n)*)",
    re.MULTILINE,
)
RECAP = re.compile(r"^(\S+): (ok=.*)$", re.MULTILINE)
# What a running server or application writes at any time, whoever looks.
LIVELY = re.compile(r"^(postgres/data/|run/|postgres/server\.log$|backend/log)")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Outcome:
    """How one run of a playbook ended, and all that it printed."""

    code: int
    output: str

    @cached_property
    def messages(self) -> list[str]:
        """The `msg` of each failed task, and of each answer that is no, in order."""
        return [
            textwrap.dedent(found["below"] or " " * 17 + found["beside"]).strip()
            for found in FAILURE.finditer(self.output)
        ]

    @cached_property
    def recap(self) -> dict[str, int]:
        """The counts at the end, summed over the hosts."""
        totals: dict[str, int] = {}
        for _host, counts in RECAP.findall(self.output):
            for name, count in (pair.split("=") for pair in counts.split()):
                totals[name] = totals.get(name, 0) + int(count)
        return totals

    def succeeded(self) -> Outcome:
        """Insist on success, and show the whole run otherwise."""
        assert self.code == 0, self.output
        return self

    def failed(self) -> Outcome:
        """Insist on a failure that a task explains."""
        assert self.code != 0, self.output
        assert self.messages, self.output
        return self


@dataclass
class Environment:
    """Everything lies in ``directory``: the state, and copies of the migrations and of the application."""

    directory: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.state = self.directory / "state"
        self.migrations = self.directory / "migrations"
        self.application = self.directory / "app"
        self.secrets = self.state / "secrets.json"
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copytree(ROOT / "migrations", self.migrations)
        ignored = shutil.ignore_patterns("__pycache__", "tests", ".*_cache")
        shutil.copytree(ROOT / "app", self.application, ignore=ignored)

    # Driving it

    @property
    def told(self) -> list[str]:
        """What makes a run this environment's."""
        own = {
            "state_dir": self.state,
            "app_port": self.port,
            "app_migrations": self.migrations,
            "app_source": self.application,
        }
        return [word for name, value in own.items() for word in ("-e", f"{name}={value}")]

    def play(
        self,
        playbook: str,
        *arguments: str,
        environ: dict[str, str] | None = None,
        stdout: bool = False,
        **variables: object,
    ) -> Outcome:
        """Run a playbook as an operator does, with ``variables`` given by -e as text; ``stdout`` leaves out stderr."""
        started = self.start(playbook, *arguments, environ=environ, stdout=stdout, **variables)
        output, _ = started.communicate(timeout=LONGEST_RUN)
        return Outcome(started.returncode, output)

    def start(
        self,
        playbook: str,
        *arguments: str,
        environ: dict[str, str] | None = None,
        stdout: bool = False,
        **variables: object,
    ) -> subprocess.Popen[str]:
        """Begin what ``play`` waits for."""
        more = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        return subprocess.Popen(
            [str(PLAYBOOK), playbook, *self.told, *more, *arguments],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if stdout else subprocess.STDOUT,
            text=True,
        )

    def deploy(self, *arguments: str) -> Outcome:
        return self.play("deploy.yml", *arguments)

    def add_migration(self, name: str, sql: str) -> Path:
        """Write a migration and return its file."""
        file = self.migrations / name / "migration.sql"
        file.parent.mkdir(exist_ok=True)
        file.write_text(sql)
        return file

    # Looking at it

    @property
    def login(self) -> dict[str, Any]:
        password = json.loads(self.secrets.read_text())["database_superuser"]
        return {"host": str(self.state / "run"), "user": "postgres", "password": password}

    def sql(self, query: str, *values: object, database: str = DATABASE) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser over the socket, and commit it."""
        with contextlib.closing(psycopg2.connect(dbname=database, **self.login)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(query, values or None)
                return cursor.fetchall() if cursor.description else []

    def dump(self, *options: str) -> str:
        """What the server's own pg_dump writes; the key keeps two dumps of the same database the same."""
        login = self.login
        done = subprocess.run(
            [self.state / "postgres/bin/pg_dump", "--restrict-key=e2e", "-h", login["host"], "-U", login["user"],
             *options, DATABASE],
            env={**os.environ, "PGPASSWORD": login["password"]}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    def schema(self) -> str:
        return self.dump("--schema-only")

    def rows(self) -> dict[str, int]:
        """The number of rows of each of the application's tables."""
        tables = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return {
            table: self.sql(f'SELECT count(*) FROM "{table}"')[0][0]
            for (table,) in tables
            if table != "_prisma_migrations"
        }

    def history(self) -> list[str]:
        """The applied migrations, in the order in which they were applied."""
        rows = self.sql(
            "SELECT migration_name FROM _prisma_migrations"
            " WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY started_at"
        )
        return [name for (name,) in rows]

    def databases(self) -> set[str]:
        return {name for (name,) in self.sql("SELECT datname FROM pg_database", database="postgres")}

    def backups(self) -> list[dict[str, Any]]:
        """The manifests of the backups, oldest first."""
        return [json.loads(file.read_text()) for file in sorted((self.state / "backups").glob("*.json"))]

    def records(self) -> list[dict[str, Any]]:
        """The ledger of deployments, oldest first."""
        return [json.loads(line) for line in (self.state / "deployments.jsonl").read_text().splitlines()]

    def files(self) -> dict[str, tuple[int, str]]:
        """Each file's time of change in ns and content, but for what is written at any time."""
        return {
            str(name): (path.lstat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in sorted(self.state.rglob("*"))
            if path.is_file() and not LIVELY.match(str(name := path.relative_to(self.state)))
        }

    def processes(self) -> dict[int, str]:
        """The environment's processes by pid, but for the children that PostgreSQL makes and ends as it likes."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                place = f"{command} {(entry / 'cwd').readlink()} "
                if command and f"{self.directory}/" in place and not command.startswith("postgres: "):
                    found[int(entry.name)] = command
        return found

    def get(self, path: str) -> str:
        """The body of a page or an answer of the API; an HTTP error raises."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{self.url}{path}", timeout=20) as answer:
            body: bytes = answer.read()
            return body.decode()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    @contextlib.contextmanager
    def databases_all_along(self) -> Iterator[set[str]]:
        """Look a hundred times a second in the background which databases the server has; all that were seen."""
        ended, seen = threading.Event(), set[str]()

        def look() -> None:
            while not ended.wait(0.01):
                seen.update(self.databases())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()

    @contextlib.contextmanager
    def asked_all_along(self) -> Iterator[list[str]]:
        """Ask the application ten times a second in the background; the list holds what went wrong."""
        ended, troubles, answered = threading.Event(), [], 0

        def ask() -> None:
            nonlocal answered
            while not ended.wait(0.1):
                for path in ("/readyz", "/api/v1/teams"):
                    try:
                        self.get(path)
                        answered += 1
                    except (OSError, urllib.error.HTTPError) as error:
                        troubles.append(f"{path}: {error}")

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield troubles
        finally:
            ended.set()
            thread.join()
        assert answered > 0


class Containers(Environment):
    """The project's environment ``test``, with PostgreSQL, the backend and nginx in containers on this machine."""

    inventory = "test"
    name = "slipway-test-commands"  # by which the tests know what a killed run has left

    def __post_init__(self) -> None:
        super().__post_init__()
        self.secrets = self.directory / "secrets.json"

    @property
    def told(self) -> list[str]:
        own = {"secrets_file": self.secrets, "app_name": self.name, "database_name": DATABASE}
        more = [word for name, value in own.items() for word in ("-e", f"{name}={value}")]
        return ["-i", self.inventory, *super().told, *more]

    def containers(self) -> list[str]:
        """The names of the environment's containers, those that have ended too."""
        listed = ["docker", "ps", "--all", f"--filter=name=^{self.name}-test-", "--format={{.Names}}"]
        return sorted(subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split())


SharedHost = TypeVar("SharedHost", bound=Containers)


@contextlib.contextmanager
def shared_host(kind: type[SharedHost]) -> Iterator[SharedHost]:
    """An environment ``test``, deployed with the images that the surroundings name, else the stand-ins."""
    with pytest.MonkeyPatch.context() as patch:
        for name, image in images().items():
            patch.setenv(name, image)
        patch.setenv("SLIPWAY_POSTGRES_IMAGE", os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15"))
        found = kind(Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir="/tmp")))
        try:
            found.deploy().succeeded()
            yield found
        finally:
            found.play("playbooks/teardown.yml", delete_data=True, confirm="test").succeeded()
        assert found.containers() == []
        shutil.rmtree(found.directory)
