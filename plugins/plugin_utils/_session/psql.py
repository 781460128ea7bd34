# SPDX-License-Identifier: GPL-3.0-or-later
"""A session of psql: interactive on a terminal, or one statement."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.embedded import bindir
from ansible_collections.slipway.deploy.plugins.plugin_utils._session.model import ENVIRONMENT, READ_ONLY, Session

NEWEST = 18  # of the versions that the wheel has


def find_psql(directory: str, encrypted: bool) -> str:
    """The program: the embedded server's own in ``directory``, the newest of the wheel, or the one on PATH.

    The wheel's knows no TLS, which a server elsewhere is ``encrypted`` by. SlipwayError where there is none.
    """
    if directory and (Path(directory) / "psql").exists():
        return str(Path(directory) / "psql")
    if not encrypted:
        try:
            return str(bindir(NEWEST) / "psql")
        except SlipwayError:  # not installed
            pass
    found = shutil.which("psql")
    if found is None:
        raise SlipwayError(
            "There is no psql on this machine's PATH: install PostgreSQL's client programs (Debian: "
            "postgresql-client), or connect by another client as the line above says."
        )
    return found


def environment(settings: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, str]:
    """What psql is started with: the connection, and of the caller's own what is not about one."""
    kept = {name: value for name, value in inherited.items() if name not in ENVIRONMENT.values()}
    return {**kept, **{ENVIRONMENT[name]: value for name, value in settings.items()}}


def arguments(session: Session) -> list[str]:
    """psql's arguments: a prompt that says where one is, or the statement to run."""
    if sql := session.options.get("sql"):
        return ["--no-psqlrc", "--set=ON_ERROR_STOP=1", *(["--csv"] if session.options.get("csv") else []), "-c", sql]
    prompt = f"{session.label} {session.access} %/%R%x%# "
    return [f"--set=PROMPT1={prompt}", f"--set=PROMPT2={prompt}"]


def shown(session: Session) -> str:
    """How to connect without Slipway, which asks for the password."""
    server = session.server
    host = server.socket_dir or server.host or "localhost"
    values = {
        "host": host, "port": server.port, "user": server.user, "dbname": server.database,
        **({} if server.socket_dir else {"sslmode": server.ssl_mode}),
    }  # fmt: skip
    command = shlex.join(["psql", " ".join(f"{name}={value}" for name, value in values.items())])
    where = f" on host {session.host}" if session.tunnel else ""
    return f"{session.label}, {session.access}{where}: {command}"


def run(session: Session) -> int:
    """Print how to connect; on a terminal, or with a statement, connect. Returns psql's exit status."""
    statement = bool(session.options.get("sql"))
    if not statement:
        print(shown(session), flush=True)
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            return 0
        if session.access != READ_ONLY:
            print("What you type here writes, and nothing of Slipway takes it back.", flush=True)
    program = find_psql(session.options.get("bindir") or "", bool(session.server.host))
    with session.reach() as settings:
        command, told = [program, *arguments(session)], environment(settings, os.environ)
        if not session.tunnel:
            os.execve(program, command, told)
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for psql, which cancels its statement
        with subprocess.Popen(command, env=told) as child:
            try:
                return child.wait()
            finally:
                child.terminate()
