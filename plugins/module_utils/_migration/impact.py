# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsed migration does to the tables that were there before it, and whether their users could bear it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import Finding
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, duration, human

RULE = "blocking"
# Whom a lock on a table keeps waiting, by the modes that ROW EXCLUSIVE (writing rows) and ACCESS SHARE (reading them)
# conflict with (PostgreSQL's manual, 13.3.1). The other modes keep but other changes of the schema waiting.
BLOCKS = {
    "ACCESS EXCLUSIVE": "reads and writes",
    "EXCLUSIVE": "writes",
    "SHARE ROW EXCLUSIVE": "writes",
    "SHARE": "writes",
}
_CHANGES_NOTHING = {"ACCESS SHARE", "ROW SHARE", "SHARE"}
# What is counted of a table, by the names of the report.
COUNTS = ("scans", "rows_read", "rows_inserted", "rows_updated", "rows_deleted")
_MEGABYTE = 1_000_000


def mode(name: str) -> str:
    """A lock's mode in SQL's words, from pg_locks: ``AccessExclusiveLock`` is ``ACCESS EXCLUSIVE``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name[: -len("Lock")] if name.endswith("Lock") else name).upper()


@dataclass(frozen=True)
class Limits:
    """What a table's users can bear: a lock that keeps them waiting for so many seconds, if the table is no larger than
    so many megabytes (10⁶ bytes) and no more than so many statements a second would wait.
    """

    seconds: float = 1.0
    megabytes: float = 100.0
    statements: float = 1.0

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Limits:
        """Take them out of a module's parameters (see ``LIMITS_SPEC``)."""
        given = params["blocking_limits"] or {}
        return cls(**{name: value for name, value in given.items() if value is not None})


LIMITS_SPEC: dict[str, dict[str, Any]] = {
    "blocking_limits": {
        "type": "dict",
        "options": {name: {"type": "float"} for name in ("seconds", "megabytes", "statements")},
    }
}


@dataclass(frozen=True)
class Relation:
    """A table at one moment. ``filenode`` is the file of its rows (None for none), ``rows_size`` the bytes of those,
    ``size`` those of all of it with its indexes. ``counts`` are by ``COUNTS``, empty where they are not known.
    """

    name: str
    filenode: int | None
    rows_size: int
    size: int
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Use:
    """What a table is used for on the live server: its bytes, and what it does a second.

    ``statements`` are all, ``writes`` those that write; None where they were not measured. ``queries`` are the most
    frequent ones.
    """

    size: int
    statements: float | None = None
    writes: float | None = None
    queries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Touched:
    """A table that a migration locked: by mode, for how many seconds until the end of its transaction.

    ``size_after`` is None where it is gone.
    """

    table: str
    locks: Mapping[str, float]
    size_before: int
    size_after: int | None
    rewritten: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)
    live: Use | None = None

    @property
    def size(self) -> int:
        """Its bytes: those on the live server, where they are known."""
        return self.live.size if self.live else self.size_before

    @property
    def changed(self) -> bool:
        """Whether it may have been changed at all."""
        return not set(self.locks) <= _CHANGES_NOTHING

    def waiting(self, mode: str) -> float | None:
        """How many statements a second would wait for a lock of this mode, None where that is not known."""
        if not self.live:
            return None
        return self.live.statements if BLOCKS[mode] == "reads and writes" else self.live.writes

    def result(self) -> dict[str, Any]:
        """The table as a module returns it."""
        unknown: dict[str, int | None] = dict.fromkeys(COUNTS)
        return {
            "table": self.table,
            "locks": [
                {"mode": each, "seconds": round(seconds, 3), "blocks": BLOCKS.get(each, "")}
                for each, seconds in sorted(self.locks.items(), key=lambda lock: -lock[1])
            ],
            "rewritten": self.rewritten,
            "size_before": self.size_before,
            "size_after": self.size_after,
            **unknown,
            **self.counts,
            "live_size": self.live.size if self.live else None,
            "live_statements": self.live.statements if self.live else None,
            "live_writes": self.live.writes if self.live else None,
            "live_queries": list(self.live.queries) if self.live else [],
        }


@dataclass(frozen=True)
class Impact:
    """What one migration did. ``wal`` are the bytes of write-ahead log, of its own session or (not ``wal_own``) of the
    whole server meanwhile; ``size_before`` and ``size_after`` those of the database. All are None where the server does
    not say. ``complete``: all locks were seen.
    """

    migration: str
    seconds: float
    wal: int | None
    wal_own: bool
    size_before: int | None
    size_after: int | None
    complete: bool
    tables: tuple[Touched, ...] = ()

    @property
    def changed_tables(self) -> bool:
        """Whether it may have changed a table that was there before it."""
        return not self.complete or any(table.changed for table in self.tables)

    def result(self) -> dict[str, Any]:
        """The migration as a module returns it."""
        return {
            "migration": self.migration,
            "seconds": round(self.seconds, 3),
            "wal": self.wal,
            "wal_own": self.wal_own,
            "size_before": self.size_before,
            "size_after": self.size_after,
            "complete": self.complete,
            "tables": [each.result() for each in self.tables],
        }


def touched(
    locks: Mapping[tuple[int, str], float], before: Mapping[int, Relation], after: Mapping[int, Relation]
) -> tuple[Touched, ...]:
    """The tables of ``before`` that were locked, from locks by oid and mode, and from the tables by oid."""
    found = []
    for oid in sorted({oid for oid, _ in locks if oid in before}, key=lambda oid: before[oid].name):
        was, now = before[oid], after.get(oid)
        found.append(
            Touched(
                table=was.name,
                locks={each: seconds for (locked, each), seconds in locks.items() if locked == oid},
                size_before=was.size,
                size_after=now.size if now else None,
                # A table that is emptied by TRUNCATE has another file too.
                rewritten=bool(now and now.filenode != was.filenode and was.rows_size and now.rows_size),
                counts={name: now.counts[name] - was.counts[name] for name in was.counts} if now else {},
            )
        )
    return tuple(found)


def with_use(impacts: Iterable[Impact], uses: Mapping[str, Use]) -> list[Impact]:
    """The same impacts with what is known of the tables' use, by name."""
    return [
        replace(each, tables=tuple(replace(table, live=uses.get(table.table)) for table in each.tables))
        for each in impacts
    ]


def long_lock(table: Touched, limits: Limits) -> str:
    """The mode of the lock that kept a table's users waiting for longer than the limit, the worst one; '' for none."""
    modes = [each for each in BLOCKS if table.locks.get(each, 0.0) > limits.seconds]
    return modes[0] if modes else ""


def blocking(impacts: Iterable[Impact], limits: Limits) -> list[Finding]:
    """The locks that a table's users could not bear, a finding each."""
    found = []
    for impact in impacts:
        for table in impact.tables:
            lock = long_lock(table, limits)
            if lock and (table.size > limits.megabytes * _MEGABYTE or (table.waiting(lock) or 0.0) > limits.statements):
                found.append(Finding(RULE, impact.migration, _sentence(impact.migration, table, lock)))
    return found


def _sentence(migration: str, table: Touched, lock: str) -> str:
    seconds, rate = table.locks[lock], table.waiting(lock)
    what = "statement" if BLOCKS[lock] == "reads and writes" else "write"
    about = human(table.size) + ("" if rate is None else f", {rate:,.{0 if rate >= 10 else 1}f} {what}s a second")
    waiting = f", about {counted(round(rate * seconds), what)} at the present rate" if rate else ""
    queries = f" Among them: {'; '.join(table.live.queries)}." if table.live and table.live.queries else ""
    return (
        f"The migration {migration!r}, rehearsed on a copy, holds {lock} on the table {table.table} ({about}) for "
        f"{duration(seconds)}{', while the table is rewritten' if table.rewritten else ''}: {BLOCKS[lock]} would wait"
        f"{waiting}.{queries} {_remedy(table, lock)}"
    )


def _remedy(table: Touched, lock: str) -> str:
    if table.rewritten:
        return (
            "Rather than have the table rewritten, add a column beside the old one, fill it in batches, and change to "
            "it in a later release."
        )
    if lock == "SHARE":
        return "Build the index with CREATE INDEX CONCURRENTLY, in a migration of its own."
    if lock == "SHARE ROW EXCLUSIVE" or table.counts.get("scans"):
        return (
            "Add a constraint with NOT VALID, and VALIDATE it in a migration of its own; SET NOT NULL reads no rows "
            "where a valid CHECK says the same, and a unique constraint takes an index that was built CONCURRENTLY."
        )
    return "What takes long beside this lock belongs in a migration of its own, which holds none."


def results(impacts: Sequence[Impact]) -> list[dict[str, Any]]:
    """The impacts as a module returns them."""
    return [each.result() for each in impacts]
