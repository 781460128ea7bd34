# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, find, ask and stop processes on the host."""

from __future__ import annotations

import contextlib
import errno
import glob
import inspect
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file, trouble, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import process as processes
from ansible_collections.slipway.deploy.plugins.module_utils._release import relay
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec, State
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import VARIABLE

PRIVATE_HOST = "127.0.0.1"
LOG_LIMIT = 10_000_000
# What a release inherits of the environment in which it is started; all else it is given.
INHERITED = ("HOME", "LC_ALL", "LOGNAME", "PATH", "TMPDIR", "USER")
# A process becomes its command when it is told to, and ends when whoever might have told it has ended.
GATE = """
import os, sys
os.read(0, 1) or sys.exit()
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError as error:
    sys.exit(f"{sys.argv[1]} can't be started: {error.strerror}")
"""


def started(pid: int) -> str | None:
    """The start time that tells this process from any other; None when there is none of this number."""
    stat = read(f"/proc/{pid}/stat")
    return processes.start_time(stat, read("/proc/sys/kernel/random/boot_id")) if stat else None


def alive(process: Process | None) -> bool:
    """Whether this very process runs: not another that got its number."""
    return process is not None and started(process.pid) == process.started


def as_started(process: Process) -> Spec:
    """What a process that runs was started as, but for the number of the run that started it."""

    def words(name: str) -> list[str]:
        with open(f"/proc/{process.pid}/{name}", "rb") as file:
            return [os.fsdecode(word) for word in file.read().split(b"\0")]

    environment = dict(word.split("=", 1) for word in words("environ") if "=" in word)
    environment.pop(VARIABLE, None)
    return Spec(words("cmdline")[:-1], environment, os.readlink(f"/proc/{process.pid}/cwd"))


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((PRIVATE_HOST, 0))
        return int(probe.getsockname()[1])


def listener(port: int) -> str:
    """Who listens on ``port``, as far as this user may know: ``" (pid 12, nginx -g daemon off;)"`` or nothing."""
    inodes = {
        inode for table in ("tcp", "tcp6") for inode in processes.listener_inodes(read(f"/proc/net/{table}"), port)
    }
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
        except OSError:  # not ours to see, or gone
            continue
        if found and found.group(1) in inodes:
            pid = link.split("/")[2]
            return f" (pid {pid}, {read(f'/proc/{pid}/cmdline').replace(chr(0), ' ').strip()})"
    return ""


def claim(host: str, port: int) -> None:
    """Raise SlipwayError, naming the holder where it can be known, when nothing can listen on ``host:port``."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SlipwayError(
                f"Port {port} on {host} is in use by another process{listener(port)}: end that one, or set another "
                "port."
            ) from error
        raise SlipwayError(
            f"Nothing can listen on port {port} of {host}: {plain(error)}; set another port or host."
        ) from error


def inherited() -> dict[str, str]:
    """What a command of the application gets of the environment in which this module runs."""
    return {name: os.environ[name] for name in INHERITED if name in os.environ}


def start(spec: Spec, port: int, log: str, record: Callable[[Process], None]) -> Process:
    """Start ``spec`` in a session of its own, so that it outlives this module; its output goes to ``log``.

    It is recorded before it begins: what ends this module, SIGKILL too, leaves no process that nobody knows of.
    """
    if os.path.exists(log) and os.path.getsize(log) > LOG_LIMIT:
        os.replace(log, f"{log}.1")
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        try:
            child = subprocess.Popen(
                [sys.executable, "-Ic", GATE, *spec.argv],
                env={**inherited(), **spec.env},
                cwd=spec.cwd,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise SlipwayError(
                f"{spec.argv[0]} can't be started in {spec.cwd}: {plain(error)}; correct the command."
            ) from error
    process = Process(child.pid, started(child.pid) or "", port)
    assert child.stdin
    with child.stdin, contextlib.suppress(BrokenPipeError):  # somebody ended it
        record(process)
        child.stdin.write(b"go")
    return process


def start_relay(host: str, port: int, state: str, log: str, record: Callable[[Process], None]) -> None:
    """Write the relay's program beside ``state``, start and record it, and wait until its port answers."""
    program = os.path.join(os.path.dirname(state), "relay.py")
    replace_file(program, inspect.getsource(relay))  # also out of the zip file from which Ansible runs modules
    process = start(Spec([sys.executable, program, host, str(port), state], {}, "/"), port, log, record)
    if not wait_until(lambda: not alive(process) or answers(host, port), 10) or not alive(process):
        stop(process, 1)
        raise SlipwayError(f"Nothing can listen on {processes.address_of(host, port)}: {log} says why.")


def reachable(host: str) -> str:
    """The address at which this host reaches what listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def answers(host: str, port: int) -> bool:
    """Whether something accepts a connection."""
    try:
        socket.create_connection((reachable(host), port), timeout=1).close()
    except OSError:
        return False
    return True


def health(host: str, port: int, path: str) -> str:
    """Nothing when ``path`` answers with a 2xx, else what was wrong, in a few words."""
    return trouble(f"http://{processes.address_of(reachable(host), port)}{path}")


def stop(process: Process | None, timeout: float) -> None:
    """SIGTERM, then after ``timeout`` seconds SIGKILL to its whole session; nothing if it is gone already."""
    for number, target, seconds in ((signal.SIGTERM, os.kill, timeout), (signal.SIGKILL, os.killpg, 10.0)):
        if process is None or not alive(process):
            return
        try:
            target(process.pid, number)
        except ProcessLookupError:
            return
        if wait_until(lambda: not alive(process), seconds):
            return


def drain(process: Process | None, timeout: float) -> None:
    """Wait until nobody is connected to the process any more, at most ``timeout`` seconds."""
    if process is not None and alive(process):
        wait_until(lambda: not processes.open_connections(read("/proc/net/tcp"), process.port), timeout)


def log_end(log: str, offset: int, lines: int = 30) -> str:
    """The last lines of what was written to ``log`` after ``offset``."""
    with open(log, encoding="utf-8", errors="replace") as file:
        file.seek(offset if os.path.getsize(log) >= offset else 0)
        return "\n".join(file.read().splitlines()[-lines:])


class Service:
    """The service whose state is in ``directory``: its state and what is done with it."""

    def __init__(self, directory: str) -> None:
        self.file = os.path.join(directory, "state.json")
        self.log = os.path.join(directory, "log")
        text = read(self.file)
        self.state = State.load(text, self.file) if text else State()

    def save(self, state: State) -> None:
        replace_file(self.file, state.dump())
        self.state = state
