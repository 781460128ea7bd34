# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's PgBouncer, from the system or out of its package, with nothing installed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.embedded import unprivileged
from conftest import Postgres
from support.debian import extracted
from support.environment import free_port

PACKAGES = ("pgbouncer", "libc-ares2", "libevent-2.1-7")


Program = tuple[str, dict[str, str]]  # with its environment


def program(directory: Path) -> Program:
    """The program, from Debian's package where it is not installed."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found:
        return found, {}
    extracted(directory, *PACKAGES)
    library = next(directory.glob("usr/lib/*-linux-*/libevent-2.1.so.7")).parent
    return str(directory / "usr/sbin/pgbouncer"), {"LD_LIBRARY_PATH": str(library)}


@contextlib.contextmanager
def pooler(program: Program, server: Postgres, directory: Path, user: str, password: str, mode: str) -> Iterator[int]:
    """A pooler in front of the server; the port on which it listens."""
    command, environment = program
    port = free_port()
    (directory / "users.txt").write_text(f'"{user}" "{password}"\n')
    lines = {
        "listen_addr": "127.0.0.1", "listen_port": str(port), "unix_socket_dir": "", "auth_type": "scram-sha-256",
        "auth_file": str(directory / "users.txt"), "pool_mode": mode,
    }  # fmt: skip
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={server.socket_dir} port={server.port}\n[pgbouncer]\n"
        + "".join(f"{name} = {value}\n" for name, value in lines.items())
    )
    started = subprocess.Popen(
        unprivileged([command, str(directory / "pgbouncer.ini")], os.geteuid()),
        env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert started.stderr is not None
        said = []
        deadline = time.monotonic() + 20
        for line in started.stderr:
            said.append(line)
            if "process up" in line:
                break
            assert time.monotonic() < deadline, said
        assert started.poll() is None, said
        yield port
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(timeout=20)
