# SPDX-License-Identifier: GPL-3.0-or-later
"""What starts a command on time on a host: a timer of systemd, or cron where there is none."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import user_name
from ansible_collections.slipway.deploy.plugins.module_utils._host.program import Files
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron, systemd
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring.exporter import escaped, word
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist as insist_in_charge


@dataclass(frozen=True)
class Command:
    """What is started: its name, what it is in words, its arguments, and a file for its output.

    ``accuracy`` is how long systemd may put it off (systemd.time); '' for its default, a minute.
    """

    name: str
    what: str
    arguments: Sequence[str]
    log: Path
    accuracy: str = ""


class Timer(Protocol):
    """One command that is started on time."""

    def exists(self) -> bool:
        """Whether it is there, as it should be or not."""

    def found(self) -> str:
        """How it is written on the host; '' where it is not there."""

    def wanted(self, when: str) -> str:
        """How it is to be written for a time of systemd.time(7). Raises SlipwayError for what is none."""

    def due(self, when: str) -> list[str]:
        """What is to be done so that it is, one sentence each."""

    def put(self, when: str) -> None:
        """Do it."""

    def remove(self) -> None:
        """Take it away."""

    @property
    def removed(self) -> str:
        """That this was done, in a sentence."""


@dataclass(frozen=True)
class Schedule:
    """Programs of a host that are started on time: their ``files``, the timers with their times, those that go.

    ``ended`` is what else comes to its end with those, in sentences. Without any that is wanted the directory of the
    files goes, too.
    """

    files: Files
    wanted: Sequence[tuple[Timer, str]]
    gone: Sequence[Timer]
    ended: Sequence[str] = ()

    @property
    def actions(self) -> list[str]:
        """What is to be done, a sentence each."""
        told = [f"Wrote {path}." for path in self.files.changed()]
        told += [action for timer, when in self.wanted for action in timer.due(when)]
        told += [*(timer.removed for timer in self.gone), *self.ended]
        return told + ([f"Deleted {self.files.directory}."] if self._over else [])

    @property
    def diff(self) -> dict[str, str]:
        """The timers before and after it, as a module's result has them."""
        return {
            "before": "".join(timer.found() for timer, _when in self.wanted),
            "after": "".join(timer.wanted(when) for timer, when in self.wanted),
        }

    def apply(self, between: Callable[[], None] = lambda: None) -> None:
        """Do it, and ``between`` what is due once nothing is started any more that goes."""
        insist_in_charge()
        for timer in self.gone:
            timer.remove()
        between()
        if self.wanted:
            self.files.write()
        for timer, when in self.wanted:
            if timer.due(when):
                timer.put(when)
        if self._over:
            shutil.rmtree(self.files.directory)

    @property
    def _over(self) -> bool:
        return not self.wanted and self.files.directory.exists()


def by_systemd() -> bool:
    """Whether systemd starts things on time here, for this user."""
    return systemd.RUNNING.is_dir() and os.geteuid() == 0


def insist(wanted: str) -> None:
    """Raise SlipwayError where nothing starts a program on time, which the setting ``wanted`` asks for."""
    if not by_systemd() and not cron.runs():
        why = f"user {user_name()} is not root" if systemd.RUNNING.is_dir() else "this host does not run systemd"
        raise SlipwayError(
            f"{wanted} is set, but nothing starts a program on time here: {why}, and no cron runs: start cron "
            f"(Debian's package cron), become root on a host with systemd (ansible_become), or leave {wanted} out here."
        )


def timers(command: Command) -> tuple[Timer, Timer]:
    """The one that starts this command here, and the other one, which is not to be there as well."""
    both: tuple[Timer, Timer] = (SystemdTimer(command), CronTimer(command))
    return both if by_systemd() else (both[1], both[0])


@dataclass(frozen=True)
class SystemdTimer:
    """By a timer of systemd and the service of the same name."""

    command: Command

    @property
    def timer(self) -> systemd.Timer:
        return systemd.Timer(self.command.name)

    def exists(self) -> bool:
        return self.timer.unit.exists()

    def found(self) -> str:
        return "".join(read(str(path)) for path in (self.timer.service, self.timer.unit))

    def wanted(self, when: str) -> str:
        return "".join(self._units(when).values())

    def due(self, when: str) -> list[str]:
        written = [f"Wrote {path}." for path in self._changed(when)]
        return written + ([f"Started timer {self.command.name}, {when}."] if self._late(when) else [])

    def put(self, when: str) -> None:
        late, changed = self._late(when), self._changed(when)
        for path, text in changed.items():
            replace_file(str(path), text, 0o644)
        if late:
            self.timer.start()
        elif changed:
            systemd.systemctl("daemon-reload")

    def remove(self) -> None:
        self.timer.remove()

    @property
    def removed(self) -> str:
        return f"Stopped and removed timer {self.command.name}."

    def _changed(self, when: str) -> dict[Path, str]:
        return {path: text for path, text in self._units(when).items() if read(str(path)) != text}

    def _late(self, when: str) -> bool:
        return self.timer.unit in self._changed(when) or not self.timer.runs

    def _units(self, when: str) -> dict[Path, str]:
        try:
            systemd.run("systemd-analyze", "calendar", when)
        except SlipwayError as error:
            raise SlipwayError(f"{when!r} is no time of a schedule: {error}") from error
        command = " ".join(map(word, self.command.arguments)).replace("$", "$$")
        accuracy = f"AccuracySec={self.command.accuracy}\n" if self.command.accuracy else ""
        return {
            self.timer.service: f"""\
# Written by Slipway.
[Unit]
Description={escaped(self.command.what)}
Wants=network-online.target
After=network-online.target docker.service

[Service]
Type=oneshot
ExecStart={command}
Environment=LC_ALL=C.UTF-8
Nice=10
""",
            self.timer.unit: f"""\
# Written by Slipway.
[Unit]
Description={escaped(self.command.what)}

[Timer]
OnCalendar={escaped(when)}
Persistent=true
{accuracy}
[Install]
WantedBy=timers.target
""",
        }


@dataclass(frozen=True)
class CronTimer:
    """By an entry of cron, which keeps what the last run said in a file."""

    command: Command

    @property
    def entry(self) -> cron.Entry:
        return cron.Entry(self.command.name)

    def exists(self) -> bool:
        return self.found() != ""

    def found(self) -> str:
        return self.entry.found()

    def wanted(self, when: str) -> str:
        words = ["LC_ALL=C.UTF-8", "nice", *map(shlex.quote, self.command.arguments)]
        return self.entry.text(when, f"{' '.join(words)} >{shlex.quote(str(self.command.log))} 2>&1")

    def due(self, when: str) -> list[str]:
        late = self.found() != self.wanted(when)
        return [f"Wrote {self.command.name} into {self.entry.place}, {when}."] if late else []

    def put(self, when: str) -> None:
        self.entry.write(self.wanted(when))

    def remove(self) -> None:
        self.entry.write("")

    @property
    def removed(self) -> str:
        return f"Removed {self.command.name} from {self.entry.place}."
