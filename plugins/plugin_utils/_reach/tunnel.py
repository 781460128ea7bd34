# SPDX-License-Identifier: GPL-3.0-or-later
"""An entrance on this machine to a port or a Unix socket of a host that a command reaches, such as ssh.

Each connection is a process of that command, which has the connection itself as its standard input and output. Whatever
becomes of whoever opened the tunnel, a process ends with its connection.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

LONGEST_PROBE = 60  # seconds
# For the host's Python, 3.6 or newer: joins its standard input and output to what the last argument names. With "probe"
# it only looks whether that answers.
PUMP = """\
import os, select, socket, sys
kind, target = sys.argv[1:]
if target.startswith('/'):
    far = socket.socket(socket.AF_UNIX)
    far.connect(target)
else:
    far = socket.create_connection(target.rsplit(':', 1), 20)
far.settimeout(None)
while kind == 'pump':
    for near in select.select([0, far], [], [])[0]:
        data = os.read(0, 65536) if near == 0 else far.recv(65536)
        if not data:
            sys.exit()
        if near == 0:
            far.sendall(data)
        while near is far and data:
            data = data[os.write(1, data):]
"""


def pump(python: str, target: str, kind: str = "pump") -> list[str]:
    """The host's command for one connection to ``target``, a socket's path or HOST:PORT."""
    return [python, "-c", PUMP, kind, target]


@dataclass(frozen=True)
class Tunnel:
    """Where it begins on this machine: a socket in a directory of this user's, or a port of the loopback interface."""

    directory: str = ""
    port: int = 0


def _listen(directory: Path | None, port: int) -> socket.socket:
    if directory is None:
        return socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / f".s.PGSQL.{port}"))
    listener.listen()
    return listener


def _serve(listener: socket.socket, command: Sequence[str], running: list[subprocess.Popen[bytes]]) -> None:
    while True:
        try:
            near, _address = listener.accept()
        except OSError:  # closed: the tunnel's end
            return
        with near:
            # In a session of its own: Ctrl-C is for the program in the terminal, and ssh has no terminal to ask at.
            running.append(subprocess.Popen(command, stdin=near.fileno(), stdout=near.fileno(), start_new_session=True))
        for ended in [process for process in running if process.poll() is not None]:
            running.remove(ended)


def probe(command: Sequence[str], host: str) -> None:
    """Run the command that looks whether the way is open; SlipwayError with what it said where it is not."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            timeout=LONGEST_PROBE, start_new_session=True, check=False,
        )  # fmt: skip
        said = done.stderr.strip().splitlines()[-1:] if done.returncode else None
    except subprocess.TimeoutExpired:
        said = [f"no answer within {LONGEST_PROBE} s"]
    except FileNotFoundError:
        said = [f"there is no program {command[0]}"]
    if said is not None:
        raise SlipwayError(
            f"The database can't be reached through host {host}: {said[0] if said else 'no reason given'}; it takes a "
            "key that ssh uses without asking, and sudo without a password where tasks become another user there."
        )


@contextlib.contextmanager
def opened(command: Sequence[str], over_socket: bool, port: int = 5432) -> Iterator[Tunnel]:
    """Hold a tunnel open for a ``with`` block; at its end nothing of it is left.

    ``command`` is run for each connection. With ``over_socket`` the tunnel begins at PostgreSQL's socket for ``port``
    in a directory that nobody else may enter, else at a free port.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as directory:  # short: a socket's path is limited
        running: list[subprocess.Popen[bytes]] = []
        with _listen(Path(directory) if over_socket else None, port) as listener:
            number = 0 if over_socket else listener.getsockname()[1]
            thread = threading.Thread(target=_serve, args=(listener, command, running), daemon=True)
            thread.start()
            try:
                yield Tunnel(directory if over_socket else "", number)
            finally:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
                thread.join()
                for process in running:
                    process.terminate()
                for process in running:
                    process.wait()
