# SPDX-License-Identifier: GPL-3.0-or-later
"""What the files and the history together mean: which migrations are applied, pending, edited, missing, failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import History, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration.leftovers import obstacle
from ansible_collections.slipway.deploy.plugins.module_utils._migration.lint_relevance import Lint, is_style
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import Holder
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import (
    Migration,
    Payload,
    sort_key,
    whitespace_variants,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import Finding
from ansible_collections.slipway.deploy.plugins.module_utils._migration.progress import Progress


@dataclass(frozen=True)
class Plan:
    """The state of a database against a directory of migrations. Names are in the order of application."""

    directory: str
    managed: bool
    other_tables: int
    applied: tuple[str, ...]
    pending: tuple[Migration, ...]
    edited: tuple[Row, ...]
    edited_whitespace: tuple[Row, ...]
    missing: tuple[Row, ...]
    failed: tuple[Row, ...]
    rolled_back: tuple[str, ...]
    out_of_order: tuple[str, ...]
    ahead: bool
    running: Holder | None = None
    destructive: tuple[tuple[str, Destruction], ...] = ()
    lint: tuple[tuple[str, Lint], ...] = ()
    half_applied: dict[str, tuple[Row, Progress]] = field(default_factory=dict)
    obstacles: tuple[tuple[str, str], ...] = ()
    history: tuple[Row, ...] = ()

    @property
    def status(self) -> str:
        """The state in one word; of several that hold, the one to deal with first."""
        states = {
            "failed": self.failed,
            "edited": self.edited,
            "ahead" if self.ahead else "missing": self.missing,
            "unmanaged": not self.managed and self.other_tables,
            "edited_whitespace": self.edited_whitespace,
            "pending": self.pending,
        }
        return next((state for state, holds in states.items() if holds), "up_to_date")

    @property
    def empty(self) -> bool:
        """Whether nothing was ever made here, so that what the files were written like is past, and no news."""
        return not self.applied and not self.other_tables

    @property
    def findings(self) -> list[Finding]:
        """All that is out of the ordinary, a sentence each."""
        found = [Finding("", row.name, _failed(row, self.running)) for row in self.failed]
        found += [
            Finding(
                "edited",
                row.name,
                f"The migration {row.name!r} was edited after it was applied (its checksum was {row.checksum}): "
                "restore the file from version control and put the change into a new migration; when it was edited "
                "upstream and the database need not change, record it anew: resolve with state=repaired "
                "(slipway.deploy.migration_resolve).",
            )
            for row in self.edited
        ]
        found += [
            Finding(
                "edited_whitespace",
                row.name,
                f"The migration {row.name!r} was edited after it was applied, in white space only: restore the file "
                "from version control, or record it anew with slipway.deploy.migration_resolve (state: repaired).",
            )
            for row in self.edited_whitespace
        ]
        found += [
            Finding(
                "ahead" if self.ahead else "missing",
                row.name,
                f"The migration {row.name!r} was applied at {_time(row.started_at)} but is not in {self.directory!r}: "
                "restore its directory from version control, or deploy the release that has it.",
            )
            for row in self.missing
        ]
        if not self.managed and self.other_tables:
            text = (
                f"The database holds {self.other_tables} table{'s' * (self.other_tables != 1)} but no history of "
                "migrations: it was not made by these migrations. To take it over, record those whose changes it "
                "already has as applied with slipway.deploy.migration_resolve (state: applied) and run again."
            )
            found.append(Finding("", "", text))
        found += [Finding("", each.name, each.problem) for each in self.pending if each.problem]
        found += [Finding("", name, obstacle) for name, obstacle in self.obstacles]
        found += [
            Finding(
                "out_of_order",
                name,
                f"The migration {name!r} is pending but comes before {self.applied[-1]!r}, which is applied: give it a "
                "newer time stamp unless it must keep this one.",
            )
            for name in self.out_of_order
        ]
        found += [
            Finding("destructive", name, f"The migration {name!r} {each.what} ({each.place}).")
            for name, each in self.destructive
        ]
        found += [
            Finding("lint", name, f"{each.place}: {each.message} ({each.rule})", mild=self.empty and is_style(each))
            for name, each in self.lint
            if not each.waiver
        ]
        return found

    @property
    def notes(self) -> list[str]:
        """What is to be known of the pending migrations that are half-applied, a sentence each."""
        notes = []
        for name, (_, progress) in self.half_applied.items():
            told = f"The migration {name!r} is half-applied (statements finished: {progress.done})"
            if self.running:
                notes.append(f"{told}, and a migration run is under way: {self.running}.")
            elif name not in dict(self.obstacles):
                failed = f"; the last attempt failed: {progress.error}" if progress.error else "."
                notes.append(f"{told}, and the next run goes on from there{failed}")
        return notes

    def result(self) -> dict[str, Any]:
        """The plan as a module returns it."""
        return {
            "status": self.status,
            "applied": list(self.applied),
            "pending": [each.name for each in self.pending],
            "edited": [row.name for row in self.edited],
            "edited_whitespace": [row.name for row in self.edited_whitespace],
            "missing": [row.name for row in self.missing],
            "failed": [row.name for row in self.failed],
            "rolled_back": list(self.rolled_back),
            "half_applied": list(self.half_applied),
            "out_of_order": list(self.out_of_order),
            "destructive": list(dict(self.destructive)),
            "lint": [each.result(name) for name, each in self.lint],
            "applied_now": [],
        }


def make_plan(directory: str, payload: Payload, history: History) -> Plan:
    """Compare files with history by Prisma's rules.

    A name is applied when it has a finished row that is not rolled back (the last such row counts), failed when it has
    an unfinished one, pending when every row it has is rolled back, or when the only other one is unfinished and
    Slipway's own, so that it can go on from there.
    """
    files = payload.migrations
    by_name = {file.name: file for file in files}
    rows = history.rows or ()
    rolled_back = {row.name for row in rows if row.rolled_back_at is not None}
    live: dict[str, list[Row]] = {}
    for row in rows:
        if row.rolled_back_at is None:
            live.setdefault(row.name, []).append(row)
    finished = {name: row for name, own in live.items() for row in own if row.finished_at is not None}
    unfinished = [row for own in live.values() for row in own if row.finished_at is None]
    half_applied: dict[str, tuple[Row, Progress]] = {}
    for row in unfinished:
        progress = Progress.load(row.logs) if row.name in by_name and len(live[row.name]) == 1 else None
        if progress:
            half_applied[row.name] = (row, progress)
    pending = tuple(file for file in files if file.name not in live or file.name in half_applied)
    applied = sorted(finished, key=sort_key)
    edited = [
        row
        for name, row in finished.items()
        if name in by_name and by_name[name].checksums and row.checksum not in by_name[name].checksums
    ]
    spaced = [row for row in edited if _in_whitespace_only(row, payload)]
    missing = sorted(
        (row for name, row in finished.items() if name not in by_name or not by_name[name].checksums),
        key=lambda row: sort_key(row.name),
    )
    scripts = {file.name: payload.scripts[file.name] for file in pending if file.name in payload.scripts}
    newest = sort_key(applied[-1]) if applied else None
    return Plan(
        directory=directory,
        managed=history.rows is not None,
        other_tables=history.other_tables,
        applied=tuple(applied),
        pending=pending,
        edited=tuple(row for row in edited if row not in spaced),
        edited_whitespace=tuple(spaced),
        missing=tuple(missing),
        failed=tuple(row for row in unfinished if row.name not in half_applied),
        rolled_back=tuple(file.name for file in pending if file.name in rolled_back),
        out_of_order=tuple(file.name for file in pending if newest and sort_key(file.name) < newest),
        ahead=bool(missing) and all(not files or sort_key(row.name) > sort_key(files[-1].name) for row in missing),
        destructive=tuple((name, found) for name, script in scripts.items() for found in script.destructive),
        lint=tuple((name, found) for name, script in scripts.items() for found in script.lint),
        half_applied=half_applied,
        obstacles=tuple((name, each) for name, each in _obstacles(half_applied, payload) if each),
        history=rows,
    )


def _obstacles(half_applied: dict[str, tuple[Row, Progress]], payload: Payload) -> list[tuple[str, str]]:
    scripts = payload.scripts if half_applied else {}
    return [
        (name, obstacle(name, scripts[name], progress))
        for name, (_, progress) in half_applied.items()
        if name in scripts
    ]


def _in_whitespace_only(row: Row, payload: Payload) -> bool:
    script = payload.scripts.get(row.name)
    return script is not None and row.checksum in whitespace_variants(script.text)


def _failed(row: Row, running: Holder | None) -> str:
    if running:
        return (
            f"The migration {row.name!r} was started at {_time(row.started_at)} and is not finished, and a migration "
            f"run is under way: {running}; wait for it to end."
        )
    reason = f": {row.logs.strip()}" if row.logs and row.logs.strip() else ""
    return (
        f"The migration {row.name!r} was started at {_time(row.started_at)} and never finished; its changes may be "
        f"there in part{reason}. Look at the database, then use slipway.deploy.migration_resolve: state applied when "
        "all of them are there, rolled_back when you have undone them."
    )


def _time(moment: Any) -> str:
    return str(moment.isoformat(sep=" ", timespec="seconds"))
