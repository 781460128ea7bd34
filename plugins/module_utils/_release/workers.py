# SPDX-License-Identifier: GPL-3.0-or-later
"""Which workers of the application are to run beside the release that serves, and what has to change for that.

Also which of its commands are to run on a schedule, which are told in the same place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._monitoring import cron
from ansible_collections.slipway.deploy.plugins.module_utils._release.spec import digest

KEYS = ("command", "count", "exclusive", "schedule", "stop_timeout")
WEB = "web"  # what the release itself is called
_LATE = 2.0**31  # by then each date that there is has come


@dataclass(frozen=True)
class Process:
    """A kind of worker: ``count`` of them run ``argv``; of an ``exclusive`` one the old ends before the new starts.

    ``stop_timeout`` is in seconds. One with a ``schedule``, a time of systemd.time(7) that cron can be told as well, is
    no worker: its command runs at that time, on one of the hosts.
    """

    name: str
    argv: Sequence[str]
    count: int = 1
    exclusive: bool = False
    stop_timeout: int = 40
    schedule: str = ""

    def names(self, like: str) -> list[str]:
        """The names of its workers with the release that ``like`` stands for: all that makes them what they are."""
        made = digest([like, list(self.argv), self.stop_timeout])
        return [f"{self.name}-{made}-{number}" for number in range(1, self.count + 1)]


def parse(given: Mapping[str, Mapping[str, Any]], stop_timeout: int) -> list[Process]:
    """The processes of ``{NAME: {command: [WORD], count, exclusive, stop_timeout, schedule}}``.

    ``problems`` is to find none of them. ``stop_timeout`` is for those that do not say theirs.
    """
    return [
        Process(
            name, each["command"], each.get("count", 1), each.get("exclusive", False),
            each.get("stop_timeout", stop_timeout), each.get("schedule", ""),
        )
        for name, each in given.items()
    ]  # fmt: skip


def problems(given: Mapping[str, Any]) -> list[str]:
    """A sentence for each process that is not what ``parse`` takes."""
    found = []
    for name, each in given.items():
        wrong = _wrong(name, each)
        if wrong:
            found.append(f"Process {name} of app_processes {wrong}: correct it in the inventory.")
    return found


def _wrong(name: str, each: Any) -> str:
    """What is wrong with a process, as the second half of a sentence; '' for nothing."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name == WEB:
        return (
            f"must be named otherwise, by lower-case letters, digits and -, and not {WEB}, which is the release itself"
        )
    if not isinstance(each, Mapping) or "command" not in each:
        return "has no command"
    unknown = [key for key in each if key not in KEYS]
    if unknown:
        return f"has {unknown[0]}, which there is not: use {', '.join(KEYS[:-1])} or {KEYS[-1]}"
    words = each["command"]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return f"has the command {words!r}, which must be a list of words, such as [python, -m, shop.worker]"
    for key, kind, least in (("count", int, 1), ("stop_timeout", int, 0), ("exclusive", bool, False)):
        value = each.get(key, least)
        if not isinstance(value, kind) or isinstance(value, bool) != (kind is bool) or value < least:
            return (
                f"has {key} {value!r}, which must be {'true or false' if kind is bool else f'a number from {least} on'}"
            )
    if each.get("exclusive") and each.get("count", 1) > 1:
        return f"is exclusive, but of it {each['count']} are to run at a time"
    return _wrong_schedule(each) if "schedule" in each else ""


def _wrong_schedule(each: Mapping[str, Any]) -> str:
    """The same of one that has a schedule."""
    for key in ("count", "exclusive"):
        if key in each:
            return f"has a schedule and {key}, but a scheduled command runs once at a time: leave {key} out"
    when = each["schedule"]
    try:
        cron.latest(when if isinstance(when, str) else str(when), _LATE)
    except SlipwayError as error:
        return f"has a schedule that does not work ({str(error).rstrip('.')})"
    return ""


@dataclass(frozen=True)
class Worker:
    """A worker that is there: its name, of which process it is, and whether it runs."""

    name: str
    process: str
    running: bool


@dataclass(frozen=True)
class Change:
    """What one process needs: workers to start, and others to stop and remove, before that or after it."""

    process: Process
    start: Sequence[str]
    stop: Sequence[str]

    @property
    def sentences(self) -> Iterator[str]:
        yield from (f"Started worker {name}." for name in self.start)
        yield from (f"Stopped worker {name}." for name in self.stop)


def changes(wanted: Sequence[Process], like: str, there: Sequence[Worker]) -> list[Change]:
    """What has to change so that exactly the wanted workers run; nothing for a process that is as it should be."""
    found = []
    gone = [Process(name, ()) for name in dict.fromkeys(each.process for each in there)
            if name not in {process.name for process in wanted}]  # fmt: skip
    for process in [*wanted, *gone]:
        names = process.names(like) if process.argv else []
        running = {worker.name for worker in there if worker.running}
        start = [name for name in names if name not in running]
        stop = [worker.name for worker in there if worker.process == process.name and worker.name not in names]
        if start or stop:
            found.append(Change(process, start, stop))
    return found


class Runner(Protocol):
    """What workers run in."""

    def there(self) -> list[Worker]:
        """The workers that are there, of any release."""

    def start(self, process: Process, names: Sequence[str]) -> None:
        """Start workers, and see that they stay. Raises SlipwayError, with the end of the log, when one does not."""

    def stop(self, names: Sequence[str]) -> None:
        """Ask them to stop, each by its own signal and within its own time."""

    def restart(self, names: Sequence[str]) -> None:
        """Start workers again that were stopped."""

    def remove(self, names: Sequence[str]) -> None:
        """Remove what is left of workers that do not run."""


def make(change: Change, runner: Runner) -> None:
    """Carry out a change. Raises SlipwayError when a worker does not start; the old ones then run as before."""
    try:
        if change.process.exclusive:
            runner.stop(change.stop)
        if change.start:
            runner.start(change.process, change.start)
    except SlipwayError:
        runner.stop(change.start)
        runner.remove(change.start)
        if change.process.exclusive:
            runner.restart(change.stop)
        raise
    if not change.process.exclusive:
        runner.stop(change.stop)
    runner.remove(change.stop)
