# SPDX-License-Identifier: GPL-3.0-or-later
"""The deploy lock, which names its holder, and the ledger of deployments: two files in the state directory."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError


@dataclass(frozen=True)
class Run:
    """One run of a playbook. ``boot``, ``namespace`` and ``started_ticks`` tell its process from any other's."""

    application: str
    environment: str
    verb: str
    user: str
    controller: str
    pid: int
    boot: str
    namespace: int
    started_ticks: int
    since: str

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
            f"{holder.application}/{holder.environment} is locked: {holder.describe()}; wait until that run ends, or, "
            "if it is dead, run playbooks/unlock.yml.",
            holder=asdict(holder),
        )


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
            return Run(**json.loads(self.lock.read_text()))
        except FileNotFoundError:
            return None
        except (TypeError, ValueError) as error:
            raise SlipwayError(
                f"The lock {self.lock} can't be read ({error}): see that no run works, delete it and run again."
            ) from error

    def refuse_other(self, run: Run) -> None:
        """Raise LockedError when somebody else holds the lock."""
        holder = self.holder()
        if holder is not None and not holder.same_process(run):
            raise LockedError(holder)

    def acquire(self, run: Run) -> None:
        """Take the lock, or raise LockedError. Linking a whole file into place leaves no half-written lock."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = self.directory / f"lock.{os.getpid()}.partial"
        own.write_text(json.dumps(asdict(run)))
        try:
            os.link(own, self.lock)
        except FileExistsError:
            self.refuse_other(run)
        finally:
            own.unlink()

    def release(self, run: Run | None) -> bool:
        """Give the lock back; ``None`` takes it from whoever holds it. Returns whether there was one to give back."""
        holder = self.holder()
        if holder is None or (run is not None and not holder.same_process(run)):
            return False
        self.lock.unlink()
        return True

    def append(self, record: dict[str, Any]) -> None:
        """Add a record and have it on the disk before returning."""
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
        descriptor = os.open(self.records, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def newest(self, **wanted: str) -> dict[str, Any] | None:
        """The newest record whose fields are as ``wanted``, or None. A line cut short by a crash is passed over."""
        if not self.records.exists():
            return None
        for line in reversed(self.records.read_text().splitlines()):
            try:
                record: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            if wanted.items() <= record.items():
                return record
        return None
