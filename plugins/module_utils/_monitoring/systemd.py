# SPDX-License-Identifier: GPL-3.0-or-later
"""A service of systemd: its unit, whether it is enabled, and what its process was started with."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import user_name

UNITS = Path("/etc/systemd/system")
RUNNING = Path("/run/systemd/system")  # there where it runs (sd_booted(3))


def insist(wanted: str) -> None:
    """Raise SlipwayError where this user can't make a service of systemd, which the setting ``wanted`` asks for."""
    if not RUNNING.is_dir():
        raise SlipwayError(
            f"{wanted} is set, but this host does not run systemd, whose service it would be: leave {wanted} out here."
        )
    if os.geteuid():
        raise SlipwayError(
            f"{wanted} is set, but user {user_name()} may not make a service of systemd on this host: become root "
            f"(ansible_become), or leave {wanted} out here."
        )


@dataclass(frozen=True)
class Process:
    """What a process was started with."""

    arguments: list[str]
    environment: dict[str, str]


@dataclass(frozen=True)
class Service:
    """The service of this name."""

    name: str

    @property
    def unit(self) -> Path:
        return UNITS / f"{self.name}.service"

    @property
    def enabled(self) -> bool:
        """Whether it starts with the system."""
        return (UNITS / "multi-user.target.wants" / self.unit.name).is_symlink()

    def process(self) -> Process | None:
        """Its process, or None where it does not run."""
        pid = systemctl("show", "--property=MainPID", "--value", self.unit.name).strip()
        arguments, environment = (
            [part for part in read(f"/proc/{pid}/{name}").split("\0") if part] for name in ("cmdline", "environ")
        )
        if pid in ("", "0") or not arguments:
            return None
        return Process(arguments, {name: value for name, _, value in (each.partition("=") for each in environment)})

    def start(self) -> None:
        """Have it run by its unit as it is now, from now on and at each start of the system."""
        _start(self.unit)

    def remove(self) -> None:
        """Stop it, and take its unit away."""
        _remove(self.unit)

    def log(self, lines: int = 3) -> str:
        """The last lines that it wrote."""
        command = ["journalctl", "--unit", self.unit.name, "--lines", str(lines), "--output", "cat", "--no-pager"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return " / ".join(done.stdout.split("\n")).strip(" /")


@dataclass(frozen=True)
class Timer:
    """The timer of this name, which starts the service of the same name."""

    name: str

    @property
    def unit(self) -> Path:
        return UNITS / f"{self.name}.timer"

    @property
    def service(self) -> Path:
        return UNITS / f"{self.name}.service"

    @property
    def runs(self) -> bool:
        """Whether it waits for its time, and starts with the system."""
        enabled = (UNITS / "timers.target.wants" / self.unit.name).is_symlink()
        return enabled and systemctl("show", "--property=ActiveState", "--value", self.unit.name).strip() == "active"

    def start(self) -> None:
        """Have it wait for its time by its units as they are now, from now on and at each start of the system."""
        _start(self.unit)

    def remove(self) -> None:
        """Stop it, and take both units away."""
        _remove(self.unit, self.service)


def _start(unit: Path) -> None:
    systemctl("daemon-reload")
    systemctl("enable", "--quiet", unit.name)
    systemctl("restart", unit.name)


def _remove(unit: Path, *others: Path) -> None:
    running = RUNNING.is_dir()  # else it is what an image or an earlier system has left
    if running:
        systemctl("disable", "--now", "--quiet", unit.name)
    for path in (*UNITS.glob(f"*.target.wants/{unit.name}"), unit, *others):
        path.unlink(missing_ok=True)
    if running:
        systemctl("daemon-reload")


def systemctl(*arguments: str) -> str:
    """Run ``systemctl ARGUMENTS``; SlipwayError with its own words when it fails."""
    return run("systemctl", *arguments)


def run(program: str, *arguments: str) -> str:
    """Run a program of systemd; SlipwayError with its own words when it fails."""
    try:
        done = subprocess.run(
            [program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        said = plain(error) if isinstance(error, OSError) else "it has not ended within 120 s"
        raise SlipwayError(
            f"{program} {arguments[0]} failed ({said}): see whether systemd runs on this host."
        ) from error
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"
        raise SlipwayError(f"{program} {' '.join(arguments)} failed: {reason}; see journalctl -xe.")
    return done.stdout
