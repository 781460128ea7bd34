# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is made like another one for a while, reached by its socket alone, and removed with all that it holds.

It is made from the other server's own programs on the host, or in a container of its very image, on no network. What
there is to remove is known from a directory, also to a later run where this one is killed. One on another host is
reached by a tunnel, whose end here lies in such a directory as well.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, advice
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import databases
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import SERVER_PROGRAMS, Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    autocommit,
    connection,
    one_row,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.embedded import render, unprivileged
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

HOME = "throwaway"  # in the directory; the server's data lie in it
CONTAINER = "container"  # a file in there with the name of the server's container
SHARED = "shared"  # a file in there with the directory of a socket that lies elsewhere
TUNNEL = "tunnel.py"  # a program in there, of either end of a way to the server of another host
SOCKET_DIR = "/var/run/postgresql"  # in a container
STARTS_WITHIN = 60.0  # seconds
ENDS_WITHIN = 10.0
TUNNEL_ENDS_WITHIN = 40.0
POLL = 0.05
PRELOADED = "Client Connection Defaults / Shared Library Preloading"
# Categories of pg_settings that decide what a statement means, how it is planned, or whether it fails.
_CATEGORIES = (
    "Client Connection Defaults / ", "Customized Options", "Lock Management", "Query Tuning / ",
    "Resource Usage / Asynchronous Behavior", "Resource Usage / Worker Processes",
    "Version and Platform Compatibility / ",
)  # fmt: skip
# The same of other categories, and what decides how much write-ahead log there is.
_NAMES = (
    "full_page_writes", "hash_mem_multiplier", "maintenance_work_mem", "max_connections", "max_prepared_transactions",
    "max_stack_depth", "password_encryption", "temp_buffers", "wal_compression", "wal_level", "wal_log_hints",
    "work_mem",
)  # fmt: skip
# Whatever the other server has. Nothing is worth an fsync here, and nobody replicates from it.
_FIXED = {
    "archive_mode": "off", "fsync": "off", "log_destination": "stderr", "logging_collector": "off",
    "max_wal_senders": "0", "port": "5432", "ssl": "off", "synchronous_commit": "off",
}  # fmt: skip
# What initdb calls the options of CREATE DATABASE.
_INITDB = {
    "ENCODING": "encoding", "LC_COLLATE": "lc-collate", "LC_CTYPE": "lc-ctype", "LOCALE_PROVIDER": "locale-provider",
    "ICU_LOCALE": "icu-locale", "ICU_RULES": "icu-rules", "BUILTIN_LOCALE": "builtin-locale",
}  # fmt: skip
_SETTINGS = """
SELECT name, setting, category FROM pg_settings
WHERE source IN ('configuration file', 'command line', 'environment variable', 'global') ORDER BY 1
"""
# What is hidden from a session by a setting of its database or its role.
_HIDDEN = """
SELECT f.name, f.setting, s.category FROM pg_file_settings f JOIN pg_settings s USING (name)
WHERE f.applied AND s.source IN ('database', 'user', 'database user')
"""
_TABLESPACES = """
SELECT format('CREATE TABLESPACE %I OWNER %I LOCATION ''''', spcname, pg_get_userbyid(spcowner))
FROM pg_tablespace WHERE spcname !~ '^pg_'
UNION ALL
SELECT format('GRANT CREATE ON TABLESPACE %I TO %s', spcname,
              CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END)
FROM pg_tablespace, aclexplode(spcacl) a WHERE spcname <> 'pg_global'
"""
_IN_CONTAINER = f"""
set -e
initdb --pgdata=/tmp/data "$@" >/dev/null
cp {SOCKET_DIR}/postgresql.conf /tmp/data/
exec postgres -D /tmp/data
"""


@dataclass(frozen=True)
class Traits:
    """What a throw-away server has of the one that it is like, besides its programs."""

    superuser: str  # the first role of the cluster
    creation: tuple[tuple[str, str], ...]  # encoding and locale of its template, as CREATE DATABASE takes them
    checksums: bool  # of data pages, which make more write-ahead log
    settings: dict[str, str]
    preloaded: dict[str, str]  # settings that name libraries
    statements: tuple[str, ...]  # that make its roles and tablespaces
    data_directory: str  # as its own host or container knows it; '' where the role may not see it


@dataclass(frozen=True)
class Shape:
    """What a container has of the one that it is like: its image, user, and limits in bytes and processes."""

    image: str
    user: str
    shm_size: int
    memory: int
    pids: int

    @classmethod
    def of(cls, container: str, data_directory: str) -> Shape:
        """That of a container which runs, with the user that the data of its server belong to."""
        about = json.loads(docker.must("container", "inspect", container))[0]
        limits = about["HostConfig"]
        user = docker.must("exec", container, "stat", "-c", "%u:%g", data_directory).strip()
        return cls(about["Config"]["Image"], user, limits["ShmSize"], limits["Memory"], limits["PidsLimit"] or -1)


def read(cursor: Cursor, roles: Sequence[str]) -> Traits:
    """See what the server of ``cursor`` is like; ``roles`` are the statements that make its roles."""
    cursor.execute("SELECT rolname, current_setting('data_checksums') FROM pg_roles WHERE oid = 10")
    superuser, checksums = one_row(cursor)
    cursor.execute(_SETTINGS)
    found = cursor.fetchall()
    with contextlib.suppress(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(_HIDDEN)
        found += cursor.fetchall()
    settings, preloaded = alike(found)
    cursor.execute(_TABLESPACES)
    tablespaces = [row[0] for row in cursor.fetchall()]
    about = databases.describe(cursor, "template0")
    return Traits(
        superuser, about.creation, checksums == "on", settings, preloaded, (*roles, *tablespaces), about.data_directory
    )


def alike(found: Iterable[tuple[str, str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """The settings that the other server is to have too, those apart that name libraries; by name, value, category."""
    settings: dict[str, str] = {}
    preloaded: dict[str, str] = {}
    for name, value, category in found:
        if category == PRELOADED:
            preloaded[name] = value
        elif name in _NAMES or category.startswith(_CATEGORIES):
            settings[name] = value
    return settings, preloaded


def initdb_options(traits: Traits, major: int) -> list[str]:
    """What initdb is called with, but for the directory, to make a cluster of the same locale."""
    named = [f"--{_INITDB[option]}={value}" for option, value in traits.creation if option in _INITDB]
    checksums = ["--data-checksums"] if traits.checksums else ["--no-data-checksums"] if major >= 18 else []
    return [f"--username={traits.superuser}", "--auth=trust", "--no-sync", "--locale=C", *named, *checksums]


def socket_dir(directory: Path) -> Path:
    """Where the socket of the server of a directory is on the host: at most 107 bytes long, with nothing to quote."""
    digest = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()
    return Path(f"/tmp/slipway-{digest[:16]}-throwaway/socket")


@dataclass(frozen=True)
class Throwaway:
    """The server of one directory, like the one whose programs ``like`` has.

    ``server`` is how the host reaches it, as the role that the other one is reached as; ``client`` has its programs.
    """

    directory: Path
    like: Client
    shape: Shape | None = None  # of a container on another host

    @property
    def home(self) -> Path:
        return self.directory / HOME

    @property
    def container(self) -> str:
        return f"{self.like.container}-throwaway" if self.like.container else ""

    @property
    def socket_dir(self) -> Path:
        return socket_dir(self.directory)

    @property
    def server(self) -> Server:
        return replace(
            self.like.server, database="postgres", host="", port=5432, socket_dir=str(self.socket_dir),
            ssl_mode="disable", ca_cert=None,
        )  # fmt: skip

    @property
    def client(self) -> Client:
        return replace(self.like, server=self.server, container=self.container, container_socket_dir=SOCKET_DIR)

    def check(self) -> None:
        """Raise SlipwayError when the host lacks the programs of a server of that major version."""
        if self.container:
            return
        answer = self.like.run("initdb", "--version").strip()
        found = re.search(r"\) (\d+)", answer)
        if found is None or int(found[1]) != self.like.major:
            raise SlipwayError(
                f"The server is PostgreSQL {self.like.major}, but the host's initdb says {answer!r}, so that no server "
                f"of its own can be made for the copy: install the package postgresql-{self.like.major}, or have the "
                "copy on the same server."
            )

    def start(self, traits: Traits) -> None:
        """Make the cluster, start it, and give it roles and tablespaces; nothing is left of it when that fails.

        What was there before is removed. Libraries that can't be loaded here are left out.
        """
        try:
            self._start(traits, {**traits.settings, **traits.preloaded})
        except SlipwayError:
            if not traits.preloaded:
                raise
            self._start(traits, traits.settings)

    def _start(self, traits: Traits, settings: Mapping[str, str]) -> None:
        remove(self.directory)
        shared = socket_dir(self.directory)
        running = (_Container if self.container else _Process)(self)
        try:
            with file_errors(self.directory):
                self.home.mkdir(mode=0o700, parents=True)
                shared.parent.mkdir(mode=0o700)
                shared.mkdir()
                shared.chmod(0o777)  # for the server's user in a container; only its owner enters the directory above
                running.begin(traits, render({**settings, **_FIXED, **running.listening}))
            first = replace(self.server, user=traits.superuser)
            self._wait(running, first)
            with sql_errors("Making the roles of the throw-away server"), autocommit(first) as cursor:
                cursor.execute(
                    "SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'allow_in_place_tablespaces'"
                )
                for statement in traits.statements:
                    with contextlib.suppress(psycopg2.errors.DuplicateObject):  # the cluster's first role
                        cursor.execute(statement)
        except BaseException:
            with contextlib.suppress(SlipwayError):  # the error that led here is the one to tell
                remove(self.directory)
            raise

    def _wait(self, running: _Running, first: Server) -> None:
        deadline = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                with connection(first):
                    return
            except SlipwayError as error:
                if running.ended() or time.monotonic() > deadline:
                    raise SlipwayError(
                        f"The throw-away server for the copy does not start: {running.said() or error}; correct that, "
                        "or have the copy on the same server."
                    ) from error
            time.sleep(POLL)


class _Running(abc.ABC):
    """How a throw-away server runs."""

    listening: Mapping[str, str]

    def __init__(self, throwaway: Throwaway) -> None:
        self._of = throwaway

    @abc.abstractmethod
    def begin(self, traits: Traits, configuration: str) -> None:
        """Make the cluster and start the server, which need not answer yet."""

    @abc.abstractmethod
    def ended(self) -> bool: ...

    @abc.abstractmethod
    def said(self) -> str:
        """The end of its log, in one line."""


class _Process(_Running):
    def __init__(self, throwaway: Throwaway) -> None:
        super().__init__(throwaway)
        self.listening = {"listen_addresses": "", "unix_socket_directories": str(socket_dir(throwaway.directory))}
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, traits: Traits, configuration: str) -> None:
        client, data = self._of.like, self._of.home / "data"
        options = initdb_options(traits, client.major)
        if self._run(client.find("initdb"), f"--pgdata={data}", *options).wait():
            raise SlipwayError(
                f"The cluster of a throw-away server for the copy can't be made: {self.said()}; correct that, or have "
                "the copy on the same server."
            )
        (data / "postgresql.conf").write_text(configuration)
        self._process = self._run(client.find("postgres"), "-D", str(data))

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        """Whoever ends it knows it by its working directory, and a later run by the mark in its environment."""
        home = self._of.home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        with (home / "log").open("ab") as log:
            return subprocess.Popen(
                unprivileged(list(command), os.geteuid()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=home,
                env={**kept, "LC_ALL": "C"}, start_new_session=True,
            )  # fmt: skip

    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def said(self) -> str:
        lines = (self._of.home / "log").read_text(errors="replace").splitlines()
        return " | ".join(line for line in lines[-5:] if line.strip())


class _Container(_Running):
    def __init__(self, throwaway: Throwaway) -> None:
        super().__init__(throwaway)
        self.listening = {"listen_addresses": "127.0.0.1", "unix_socket_directories": SOCKET_DIR}

    def begin(self, traits: Traits, configuration: str) -> None:
        """Of the same image, with the same limits, on no network."""
        like, name, shared = self._of.like, self._of.container, socket_dir(self._of.directory)
        (shared / "postgresql.conf").write_text(configuration)
        (shared / "postgresql.conf").chmod(0o644)
        (self._of.home / CONTAINER).write_text(name)
        shape = self._of.shape
        if shape is None:  # it is on this host, where its image may have got another name
            image = docker.must("container", "inspect", "--format={{.Image}}", like.container).strip()
            shape = replace(Shape.of(like.container, traits.data_directory), image=image)
        docker.must(
            "run", "--detach", "--name", name, "--network", "none", "--cap-drop", "ALL",
            "--user", shape.user, "--security-opt", "no-new-privileges", "--shm-size", str(shape.shm_size),
            "--memory", str(shape.memory), "--pids-limit", str(shape.pids),
            "--volume", f"{shared}:{SOCKET_DIR}", "--entrypoint", "sh", shape.image,
            "-c", _IN_CONTAINER, "sh", *initdb_options(traits, like.major),
        )  # fmt: skip

    def ended(self) -> bool:
        return docker.found("container", self._of.container, "{{.State.Running}}") != "true"

    def said(self) -> str:
        return " | ".join(docker.must("logs", "--tail", "5", self._of.container).splitlines())


def exists(directory: Path) -> bool:
    """Whether there is a throw-away server in a directory, or what is left of one."""
    return (directory / HOME).exists()


def remove(directory: Path) -> bool:
    """Stop the throw-away server of a directory and delete all that it holds; false when there is none."""
    home, shared = directory / HOME, socket_dir(directory)
    if not exists(directory):
        return False
    insist()
    with file_errors(directory):
        end_tunnel(home)
        if (home / CONTAINER).exists():
            name = (home / CONTAINER).read_text()
            if docker.found("container", name, "{{.Id}}") is not None:
                docker.must("rm", "--force", "--volumes", name)
        end(home)
        if (home / SHARED).exists():
            shutil.rmtree((home / SHARED).read_text(), ignore_errors=True)  # it may never have been made
        if shared.parent.exists() and shared.parent.stat().st_uid == os.geteuid():
            shutil.rmtree(shared.parent)
        shutil.rmtree(home)  # the last, since it tells that there is something
    return True


def removed(directory: Path, *, check_mode: bool = False) -> list[str]:
    """Remove it where a run left one; what was done, or would be in check mode."""
    what = f"the throw-away server in {directory / HOME}, which a run left behind."
    if check_mode:
        return [f"Would remove {what}"] if exists(directory) else []
    return [f"Removed {what}"] if remove(directory) else []


def end(home: Path) -> None:
    """End the processes of a server, of whatever age, that work in a directory."""
    _end(lambda: working_in(home), signal.SIGQUIT, ENDS_WITHIN)  # without a checkpoint (manual section 18.5)


def end_tunnel(home: Path) -> None:
    """End what leads to a server on another host, or from one: its near end has the far one remove that server."""
    tunnel = os.fsencode(home / TUNNEL)
    _end(
        lambda: [pid for pid, _name, command in working_there(home) if tunnel in command],
        signal.SIGTERM, TUNNEL_ENDS_WITHIN,
    )  # fmt: skip


def _end(working: Callable[[], list[int]], number: signal.Signals, within: float) -> None:
    """Send each process that is at work a signal once, until none is; after so many seconds SIGKILL."""
    told: set[int] = set()
    began = time.monotonic()
    while left := working():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                if time.monotonic() - began > within:
                    os.kill(pid, signal.SIGKILL)
                elif pid not in told:
                    os.kill(pid, number)
        told.update(left)
        time.sleep(POLL)


def working_in(home: Path) -> list[int]:
    """PostgreSQL's processes whose working directory is in this one."""
    return [pid for pid, name, _command in working_there(home) if name in SERVER_PROGRAMS]


def working_there(home: Path) -> Iterator[tuple[int, str, list[bytes]]]:
    """All processes whose working directory is in this one: their number, name and command line."""
    place = f"{home.resolve()}{os.sep}"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended, or is another user's
                if f"{os.readlink(entry / 'cwd')}{os.sep}".startswith(place):
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                    yield int(entry.name), (entry / "comm").read_text().strip(), command


@contextlib.contextmanager
def file_errors(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SlipwayError(
            f"Can't use {error.filename or directory} for a throw-away server: {error.strerror}; {advice(error)}."
        ) from error
