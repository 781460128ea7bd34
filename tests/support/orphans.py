# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a controller while a module of it is at work, so that the module lives on; also behind a real sshd."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.missing import missing

SSHD = Path("/usr/sbin/sshd")


def wait_until(condition: Callable[[], object], seconds: float = 600) -> None:
    """Poll to a deadline that a busy machine keeps."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def status(pid: int) -> list[str]:
    """Fields of proc_pid_stat(5) after the name: state, parent and so on; none when the process is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def alive(pid: int) -> bool:
    return status(pid)[:1] not in ([], ["Z"])


def descendants(root: int) -> list[int]:
    """All processes below one, the nearest first."""
    parents = {int(entry.name): status(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    found, level = [], [root]
    while level:
        level = [pid for pid, fields in parents.items() if fields and int(fields[1]) in level]
        found += level
    return found


def modules(root: int) -> list[int]:
    """The Python processes below one that are no fork of ansible-playbook."""
    found = []
    for pid in descendants(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"python" in command.split(b"\0")[0] and b"ansible-playbook" not in command:
                found.append(pid)
    return found


@contextlib.contextmanager
def orphaned(controller: subprocess.Popen[str], host: int = 0) -> Iterator[list[int]]:
    """Kill a controller, and have its modules, below process ``host``, live on but do nothing before the block ends.

    What then lives of them is let go on, and waited for.
    """
    left = modules(host or controller.pid)
    assert left
    for pid in left:
        os.kill(pid, signal.SIGSTOP)
    controller.kill()
    controller.communicate()
    try:
        yield left
    finally:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: not any(map(alive, left)))


@dataclass(frozen=True)
class Sshd:
    """A server on the loopback interface, with keys of its own; ``pid`` is above everything that it runs."""

    pid: int
    variables: dict[str, object]


@contextlib.contextmanager
def sshd(home: Path) -> Iterator[Sshd]:
    """Run it for a ``with`` block. Only root can; where that is missing the test says so."""
    if os.geteuid() != 0 or not SSHD.exists():
        missing(f"A host behind SSH needs root and {SSHD} (package openssh-server).")
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)]
        subprocess.run(command, check=True, timeout=60)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key = (home / "host.pub").read_text().split()[:2]
    (home / "known").write_text(f"[127.0.0.1]:{port} {' '.join(key)}\n")
    Path("/run/sshd").mkdir(exist_ok=True)  # of privilege separation
    options = {
        "ListenAddress": "127.0.0.1", "Port": port, "HostKey": home / "host", "AuthorizedKeysFile": home / "user.pub",
        "StrictModes": "no", "UsePAM": "no", "PidFile": "none", "PermitRootLogin": "prohibit-password",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    with subprocess.Popen([str(SSHD), "-D", "-e", "-f", "/dev/null", *words], stderr=subprocess.DEVNULL) as server:

        def listens() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        try:
            wait_until(listens)
            yield Sshd(
                server.pid,
                {
                    "ansible_connection": "ssh",
                    "ansible_host": "127.0.0.1",
                    "ansible_port": port,
                    "ansible_user": "root",
                    "ansible_ssh_private_key_file": str(home / "user"),
                    "ansible_ssh_args": f"-o ControlMaster=no -o UserKnownHostsFile={home / 'known'}",
                },
            )
        finally:
            server.terminate()
