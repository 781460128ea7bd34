# SPDX-License-Identifier: GPL-3.0-or-later
"""The deploy lock, which names its holder, and the ledger of deployments: files in the state directory."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import alone_in, replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._run import progress
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import Fence, next_number

POLL = 1.0  # seconds between two attempts to take the lock


@dataclass(frozen=True)
class Run:
    """One run of the controller. ``boot``, ``namespace`` and ``started_ticks`` tell its process from any other's.

    ``machine`` tells two controllers of the same name apart; '' where a machine has no identity. ``fence`` is the
    number under which the run is in charge of its hosts, 0 before it is.
    """

    application: str
    environment: str
    verb: str
    user: str
    controller: str
    machine: str
    pid: int
    boot: str
    namespace: int
    started_ticks: int
    since: str
    fence: int = 0

    def same_process(self, other: Run) -> bool:
        """Whether both were written by one process; a run takes its own lock again without asking."""
        return (self.controller, self.boot, self.namespace, self.pid, self.started_ticks) == (
            other.controller,
            other.boot,
            other.namespace,
            other.pid,
            other.started_ticks,
        )

    def describe(self) -> str:
        return f"{self.verb} by {self.user}@{self.controller} (pid {self.pid}) since {self.since}"


class LockedError(SlipwayError):
    """Somebody else holds the lock; ``details['holder']`` says who."""

    def __init__(self, holder: Run) -> None:
        super().__init__(
            f"{holder.application}/{holder.environment} is locked: {holder.describe()}; run again when that has ended, "
            "have this run wait for it by -e lock_wait=600, or, if it is dead, run slipway.deploy.unlock.",
            holder=asdict(holder),
        )


@dataclass(frozen=True)
class Taken:
    """The number in charge from now on, whose lock it was before (if anybody's), and what had to be ended.

    ``interrupted`` is the record that was written of that former run, None where it had written its own.
    """

    fence: int
    former: Run | None = None
    ended: list[str] = field(default_factory=list)
    interrupted: dict[str, Any] | None = None


def interrupted(run: Run) -> dict[str, Any]:
    """What the ledger keeps of a run that ended nobody knows when, and of which only its lock was left."""
    about = {name: getattr(run, name) for name in ("application", "environment", "verb")}
    known = {"status": "interrupted", "release": "", "revision": "", "started": run.since, "finished": ""}
    return {**about, **known, "phases": [], "facts": {}, "format": 1, "run": asdict(run)}


@dataclass(frozen=True)
class Ledger:
    """``lock.json`` (present while a run works) and ``deployments.jsonl`` (one JSON object a line) in ``directory``."""

    directory: Path

    @property
    def lock(self) -> Path:
        return self.directory / "lock.json"

    @property
    def records(self) -> Path:
        return self.directory / "deployments.jsonl"

    def holder(self) -> Run | None:
        """Who holds the lock, or None."""
        try:
            return Run(**json.loads(self.lock.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (TypeError, ValueError) as error:
            raise SlipwayError(
                f"The lock {self.lock} can't be read ({error}): see that no run works, delete it and run again."
            ) from error

    def check_environment(self, run: Run) -> None:
        """Raise SlipwayError when the lock is of another application or environment, whose directory this then is."""
        holder = self.holder() if self.lock.exists() else None
        if holder and (holder.application, holder.environment) != (run.application, run.environment):
            raise SlipwayError(
                f"{self.directory} is of {holder.application}/{holder.environment}, as its lock says, but this "
                f"inventory is {run.application}/{run.environment}: nothing was changed; use the right inventory, or "
                "the right state directory in this one."
            )

    def refuse_other(self, run: Run, dead: Run | None = None) -> Run | None:
        """Return who holds the lock, if anybody; raise LockedError when that is neither ``run`` nor ``dead``."""
        holder = self.holder()
        if holder is None or holder.same_process(run) or (dead is not None and holder.same_process(dead)):
            return holder
        raise LockedError(holder)

    def acquire(self, run: Run, dead: Run | None = None) -> Taken:
        """Take the lock, also from ``dead``, a run known to have died; raise LockedError when another has it.

        What earlier runs left at work on this host is ended first; SlipwayError when that can't be done.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone_in(str(self.directory)):
            holder = self.refuse_other(run, dead)
            if holder is not None and holder.same_process(run):
                return Taken(holder.fence)
            taken = self._take_over(holder)
            replace_file(str(self.lock), json.dumps(asdict(replace(run, fence=taken.fence))))
            return taken

    def acquire_within(self, seconds: float, run: Run, dead: Callable[[Run], bool]) -> Taken:
        """Take the lock as ``acquire``, also from a holder that is ``dead``; wait so long while another has it."""
        ends = time.monotonic() + seconds
        while True:
            holder = self.holder() if self.lock.exists() else None
            try:
                return self.acquire(run, holder if holder and dead(holder) else None)
            except LockedError:
                if time.monotonic() >= ends:
                    raise
            if holder:
                progress.tell(f"waiting for {holder.describe()}")
            time.sleep(POLL)

    def _take_over(self, former: Run | None) -> Taken:
        fence = Fence(self.directory, next_number(self.directory))
        ended, last, record = fence.take_over(), self.newest(), None
        if former is not None and (last is None or last.get("run") != asdict(former)):
            record = interrupted(former)
            self.append(record)
        return Taken(fence.number, former, ended, record)

    def release(self, run: Run) -> bool:
        """Give the lock back. Returns whether it still was ``run``'s; another's is left alone."""
        if not self.directory.exists():
            return False
        with alone_in(str(self.directory)):
            holder = self.holder()
            if holder is None or not holder.same_process(run):
                return False
            self.lock.unlink()
            return True

    def break_lock(self, dead: Run | None, force: bool, *, write: bool = True) -> Taken:
        """Take the lock from ``dead``, or by ``force`` from whoever holds it, and end what that run left at work.

        Raises SlipwayError for any other holder. Without ``write`` the lock stays.
        """
        if not self.directory.exists():
            return Taken(0)
        with alone_in(str(self.directory)):
            holder = self.holder()
            if holder is None:
                return Taken(0)
            if not force and not (dead is not None and holder.same_process(dead)):
                raise SlipwayError(
                    f"The lock of {holder.application}/{holder.environment} is not broken, since its run is not known "
                    f"to be dead: {holder.describe()}; end that run, or see that it is dead and add -e force=true.",
                    holder=asdict(holder),
                )
            if not write:
                return Taken(0, holder)
            taken = self._take_over(holder)
            self.lock.unlink()
            return taken

    def append(self, record: dict[str, Any]) -> None:
        """Add a record and have it on the disk before returning."""
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        descriptor = os.open(self.records, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "ab") as opened:
            if opened.tell() and os.pread(descriptor, 1, opened.tell() - 1) != b"\n":
                opened.write(b"\n")  # the line before was cut short by a crash
            opened.write(line)
            opened.flush()
            os.fsync(descriptor)

    def check_last(self, environment: str) -> str:
        """The environment of the last run that succeeded, '' when none did; SlipwayError when it is another one."""
        last = self.newest(status="succeeded")
        found: str = last["run"]["environment"] if last else ""
        if found not in ("", environment):
            raise SlipwayError(
                f"{self.records} says that the last run here was of environment {found!r} but this inventory is "
                f"{environment!r}: nothing was changed; use the right inventory, or the right state directory in "
                "this one."
            )
        return found

    def serving(self) -> dict[str, Any]:
        """The newest record of a run that put a release in its place; empty before the first."""
        return next(iter(self.releases()), {})

    def releases(self) -> list[dict[str, Any]]:
        """The records of all such runs, the newest first."""
        wanted = {"deploy", "rollback"}
        return [
            record
            for _number, record in self._newest_first()
            if record.get("verb") in wanted and record.get("status") == "succeeded"
        ]

    def source(self, release: str) -> str:
        """The commit that a release was deployed from, as the record says it; '' where none does."""
        record = self.newest(verb="deploy", status="succeeded", release=release) or {}
        return str(record.get("revision", ""))

    def newest(self, **wanted: str) -> dict[str, Any] | None:
        """The newest record whose fields are as ``wanted``, or None."""
        return next((record for _number, record in self._newest_first() if wanted.items() <= record.items()), None)

    def oldest(self, **wanted: str) -> dict[str, Any] | None:
        """The oldest such record, or None."""
        matching = [record for _number, record in self._newest_first() if wanted.items() <= record.items()]
        return matching[-1] if matching else None

    def numbered(self, most: int) -> list[dict[str, Any]]:
        """The ``most`` newest records, the oldest of them first, each with its ``number``: that of its line, from 1."""
        found = [{"number": number, **record} for number, record in itertools.islice(self._newest_first(), most)]
        return found[::-1]

    def one(self, number: int) -> dict[str, Any]:
        """The record of this ``number``. Raises SlipwayError where there is none."""
        for found, record in self._newest_first():
            if found == number:
                return {"number": number, **record}
        last = next(self._newest_first(), (0, {}))[0]
        raise SlipwayError(
            f"There is no run {number} in {self.records}: "
            + (f"they have the numbers up to {last}." if last else "nothing was recorded yet.")
        )

    def _newest_first(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Each record with the number of its line. A line cut short by a crash is passed over."""
        lines = self.records.read_bytes().split(b"\n") if self.records.exists() else []
        for number in range(len(lines), 0, -1):
            with contextlib.suppress(ValueError):
                record: dict[str, Any] = json.loads(lines[number - 1])
                yield number, record
