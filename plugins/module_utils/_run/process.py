# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process of which machine a run is, and whether it is gone."""

from __future__ import annotations

import datetime
import getpass
import hashlib
import os
import socket
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Run


def started_ticks(pid: int) -> int:
    """When a process started, in clock ticks since the boot (field 22 of proc_pid_stat(5)); 0 when it is gone.

    A process that has ended and whose parent has not asked for its status (state Z) is gone too.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def user_name() -> str:
    """Who runs, also by sudo; the number where the user has no name, as in a container."""
    if os.getuid() == 0 and os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def machine() -> str:
    """A digest of the machine's identity, which machine-id(5) asks not to give away; '' where there is none."""
    try:
        identity = Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""
    return hashlib.sha256(f"slipway {identity}".encode()).hexdigest()[:16] if identity else ""


def run_of(pid: int, application: str, environment: str, verb: str) -> Run:
    """The run of this process of this machine."""
    return Run(
        application=application,
        environment=environment,
        verb=verb,
        user=user_name(),
        controller=socket.gethostname(),
        machine=machine(),
        pid=pid,
        boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        namespace=Path("/proc/self/ns/pid").stat().st_ino,
        started_ticks=started_ticks(pid),
        since=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def is_dead(holder: Run, observer: Run) -> bool:
    """Whether the holder ran on the observer's controller and is gone. False where that can't be told.

    Two controllers may have the same name, and clones of a machine its identity: after a reboot both must be the same.
    """
    if holder.boot == observer.boot:
        return holder.namespace == observer.namespace and started_ticks(holder.pid) != holder.started_ticks
    return holder.machine != "" and (holder.machine, holder.controller) == (observer.machine, observer.controller)
