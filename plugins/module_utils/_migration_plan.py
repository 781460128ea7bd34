# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files and the history together mean: which migrations are applied, pending, edited, missing, failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Migration, sort_key
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import History, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration_progress import Progress


@dataclass(frozen=True)
class Plan:
    """The state of a database against a directory of migrations. Names are in the order of application."""

    directory: str
    managed: bool
    other_tables: int
    applied: tuple[str, ...]
    pending: tuple[Migration, ...]
    edited: tuple[Row, ...]
    missing: tuple[Row, ...]
    failed: tuple[Row, ...]
    rolled_back: tuple[str, ...]
    out_of_order: tuple[str, ...]
    ahead: bool
    begun: dict[str, tuple[Row, Progress]] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The state in one word; of several that hold, the one to deal with first."""
        if self.failed:
            return "failed"
        if self.edited:
            return "edited"
        if self.missing:
            return "ahead" if self.ahead else "missing"
        if not self.managed and self.other_tables:
            return "unmanaged"
        return "pending" if self.pending else "up_to_date"

    @property
    def stops(self) -> list[str]:
        """What keeps the pending migrations from being applied, a sentence each."""
        sentences = [_failed(row) for row in self.failed]
        sentences += [
            f"The migration {row.name!r} was edited after it was applied (its checksum was {row.checksum}): restore "
            "the file from version control and put the change into a new migration."
            for row in self.edited
        ]
        sentences += [
            f"The migration {row.name!r} was applied at {_time(row.started_at)} but is not in {self.directory!r}: "
            "restore its directory from version control, or deploy the release that has it."
            for row in self.missing
        ]
        if self.status == "unmanaged":
            sentences.append(
                f"The database holds {self.other_tables} table{'s' * (self.other_tables != 1)} but no history of "
                "migrations: it was not made by these migrations. To take it over, record those whose changes it "
                "already has as applied with slipway.deploy.migration_resolve (state: applied) and run again."
            )
        sentences += [each.problem for each in self.pending if each.problem]
        return sentences

    def check(self) -> None:
        """Raise SlipwayError with every reason not to go on, if there is one."""
        if self.stops:
            raise SlipwayError("\n".join(self.stops), migrations=self.result())

    def result(self) -> dict[str, Any]:
        """The plan as a module returns it."""
        return {
            "status": self.status,
            "applied": list(self.applied),
            "pending": [each.name for each in self.pending],
            "edited": [row.name for row in self.edited],
            "missing": [row.name for row in self.missing],
            "failed": [row.name for row in self.failed],
            "rolled_back": list(self.rolled_back),
            "out_of_order": list(self.out_of_order),
            "applied_now": [],
        }


def make_plan(directory: str, files: Sequence[Migration], history: History) -> Plan:
    """Compare files with history by Prisma's rules. ``files`` are in the order of application.

    A name is applied when it has a finished row that is not rolled back (the last such row counts), failed when it has
    an unfinished one that Slipway can't go on with, pending when every row it has is rolled back.
    """
    by_name = {file.name: file for file in files}
    finished: dict[str, Row] = {}
    failed: list[Row] = []
    begun: dict[str, tuple[Row, Progress]] = {}
    rolled_back: dict[str, None] = {}
    for row in history.rows or ():
        if row.rolled_back_at is not None:
            rolled_back[row.name] = None
        elif row.finished_at is not None:
            finished[row.name] = row
        else:
            progress = Progress.load(row.logs) if row.name in by_name else None
            if progress:
                begun[row.name] = (row, progress)
            else:
                failed.append(row)
    live = {*finished, *(row.name for row in failed)}
    pending = tuple(file for file in files if file.name not in live)
    applied = sorted(finished, key=sort_key)
    known = [row for name, row in finished.items() if name in by_name]
    missing = sorted(
        (row for name, row in finished.items() if name not in by_name or not by_name[name].checksums),
        key=lambda row: sort_key(row.name),
    )
    newest = sort_key(applied[-1]) if applied else None
    return Plan(
        directory=directory,
        managed=history.rows is not None,
        other_tables=history.other_tables,
        applied=tuple(applied),
        pending=pending,
        edited=tuple(
            row for row in known if by_name[row.name].checksums and row.checksum not in by_name[row.name].checksums
        ),
        missing=tuple(missing),
        failed=tuple(failed),
        rolled_back=tuple(name for name in rolled_back if name not in live),
        out_of_order=tuple(file.name for file in pending if newest and sort_key(file.name) < newest),
        ahead=bool(missing) and all(not files or sort_key(row.name) > sort_key(files[-1].name) for row in missing),
        begun=begun,
    )


def _failed(row: Row) -> str:
    reason = f": {row.logs.strip()}" if row.logs and row.logs.strip() else ""
    return (
        f"The migration {row.name!r} was begun at {_time(row.started_at)} and never finished; its changes may be there "
        f"in part{reason}. Look at the database, then use slipway.deploy.migration_resolve: state applied when all of "
        "them are there, rolled_back when you have undone them."
    )


def _time(moment: Any) -> str:
    return str(moment.isoformat(sep=" ", timespec="seconds"))
