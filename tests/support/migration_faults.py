# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults for the migration engine: random histories, and the ways in which a run comes to a sudden end."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import ClassVar

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import Patience
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files, migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration.undo import undo
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interruption import Interrupted, interruptible

# A file's SQL, with {n} for a number of its own, and the last thing that it makes.
KINDS = [
    ("CREATE TABLE t{n} (id int PRIMARY KEY)", "t{n}"),
    ("CREATE SEQUENCE s{n}", "s{n}"),
    ("CREATE TABLE t{n} (id int, n int); INSERT INTO t{n} SELECT i, i FROM generate_series(1, 50) AS i", "t{n}"),
    ("CREATE TABLE t{n} (id int); SELECT pg_sleep(0.01); CREATE INDEX i{n} ON t{n} (id)", "i{n}"),
    ("BEGIN; CREATE TABLE t{n} (id int); COMMIT; BEGIN; CREATE INDEX i{n} ON t{n} (id); COMMIT", "i{n}"),
    (
        "CREATE TYPE e{n} AS ENUM ('a'); COMMIT; ALTER TYPE e{n} ADD VALUE 'b'; CREATE TABLE t{n} (x e{n} DEFAULT 'b')",
        "t{n}",
    ),
    ("CREATE TABLE t{n} (id int); CREATE INDEX CONCURRENTLY i{n} ON t{n} (id); CREATE TABLE u{n} ()", "u{n}"),
    ("CREATE TABLE t{n} (id int); CREATE INDEX CONCURRENTLY ON t{n} (id); VACUUM t{n}; CREATE TABLE u{n} ()", "u{n}"),
    (
        "CREATE TABLE t{n} (id int); CREATE INDEX i{n} ON t{n} (id); DROP INDEX CONCURRENTLY i{n}; "
        "CREATE TABLE u{n} ()",
        "u{n}",
    ),
    ("CREATE TABLE t{n} (id int PRIMARY KEY); REINDEX TABLE CONCURRENTLY t{n}; CREATE TABLE u{n} ()", "u{n}"),
    (
        "CREATE TABLE p{n} (id int) PARTITION BY LIST (id); CREATE TABLE t{n} PARTITION OF p{n} FOR VALUES IN (1); "
        "ALTER TABLE p{n} DETACH PARTITION t{n} CONCURRENTLY; CREATE TABLE u{n} ()",
        "u{n}",
    ),
]


# What each migration does to the data besides: its primes in the number tell how often its first and last part ran.
PRIMES = [(2, 3), (5, 7), (11, 13), (17, 19), (23, 29)]
COUNTER = "CREATE TABLE counter (n numeric); INSERT INTO counter VALUES (1)"
FIRST = "UPDATE counter SET n = n * {}; SELECT pg_sleep(0.005); "
LAST = "; SELECT pg_sleep(0.005); UPDATE counter SET n = n * {}"
DOWN = "UPDATE counter SET n = n / {}; SELECT pg_sleep(0.01); UPDATE counter SET n = n / {}; SELECT pg_sleep(0.01)"


def history(chance: random.Random) -> dict[str, tuple[str, str]]:
    """Some migrations by name, each as its SQL and the last thing that it makes."""
    chosen = [chance.choice(KINDS) for _ in range(chance.randint(2, 5))]
    return {
        f"{n}_m": (FIRST.format(PRIMES[n][0]) + sql.format(n=n) + LAST.format(PRIMES[n][1]), last.format(n=n))
        for n, (sql, last) in enumerate(chosen)
    }


def times(number: int, prime: int) -> int:
    """How often a number can be divided by a prime."""
    return next(count for count in itertools.count() if number % prime ** (count + 1))


class Proxy:
    """A socket directory in front of the server's, whose connections can be cut."""

    def __init__(self, directory: Path, behind: Path, port: int) -> None:
        self.directory = directory
        self._behind = str(behind / f".s.PGSQL.{port}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(directory / f".s.PGSQL.{port}"))
        self._listener.listen()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._behind)
                self._open += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self._close(source)
        self._close(target)

    @staticmethod
    def _close(end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Cut every connection."""
        for end in self._open:
            self._close(end)
        self._open.clear()

    def close(self) -> None:
        """Stop listening."""
        self.cut()
        self._listener.close()


def attempt(server: Server, payload: str, begun: Event, output: Connection, way: str, last: int) -> None:
    """One run in a process of its own, which undoes the ``last`` or migrates; that it fails is the point of it."""
    files = Files("m", "public", Payload.load(payload), Policy(DEFAULTS))
    os.dup2(output.fileno(), 1)
    output.close()
    # Without what a module has for them, a signal is what any other exception is.
    context = contextlib.nullcontext() if way == "KeyboardInterrupt" else interruptible()
    with contextlib.suppress(SlipwayError, psycopg2.Error, Interrupted, KeyboardInterrupt), context:
        begun.set()
        if last:
            undo(server, files, [], last, 30, False, lock_timeout="5s")
        else:
            migrate(server, files, Patience(30, 30), lock_timeout="5s")
    os._exit(0)


@dataclass
class Saboteur:
    """Starts runs and ends them at some moment, in one of these ways."""

    WAYS: ClassVar = ["kill", "terminate", "cut", "unread", "KeyboardInterrupt", "SIGINT", "SIGTERM", "SIGHUP"]

    server: Server
    proxy: Proxy
    sql: Callable[[str], list[tuple[object, ...]]]
    chance: random.Random

    def __post_init__(self) -> None:
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(["support.migration_faults"])
        # Where to find it, which some versions of Python do not tell the server: each process would import all anew.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
            forkserver.ensure_running()

    def strike(self, payload: str, within: float, last: int = 0) -> str:
        """Begin a run and let a fault strike within so many seconds; return which it was."""
        way = self.chance.choice(self.WAYS)
        server = replace(self.server, socket_dir=str(self.proxy.directory)) if way == "cut" else self.server
        begun = self._processes.Event()
        reading, writing = self._processes.Pipe(duplex=False)
        process = self._processes.Process(target=attempt, args=(server, payload, begun, writing, way, last))
        process.start()
        writing.close()
        assert begun.wait(60)
        process.join(self.chance.uniform(0, within))
        if way == "terminate":
            self.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slipway migrations'"
            )
        elif way == "cut":
            self.proxy.cut()
        elif way == "unread":
            reading.close()
        elif process.pid and process.is_alive():
            number = {"kill": signal.SIGKILL, "KeyboardInterrupt": signal.SIGINT}.get(way) or signal.Signals[way]
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(process.pid, number)
        process.join(10)
        assert not process.is_alive(), way
        reading.close()
        return way
