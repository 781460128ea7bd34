# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsal saw, for a person: a table of what matters at the end of it, and all of it in lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, duration, human

# What a person would notice: a lock that keeps others waiting for so many seconds, a rewritten table of so many bytes.
SECONDS = 0.2
REWRITTEN = 1_000_000

Impact = Mapping[str, Any]
Table = Mapping[str, Any]

_COLUMNS = [
    "migration",
    "table",
    "lock",
    {"name": "held", "align": "right"},
    {"name": "size", "align": "right"},
    {"name": "waiting/s", "align": "right"},
    "rows",
]
_TITLE = "On the copy: locks that others would wait for, and tables that are rewritten"
_VERBS = ("read", "inserted", "updated", "deleted")


def shown(rehearsal: Sequence[Impact]) -> dict[str, Any] | None:
    """The table of what matters, for the callback; None where nothing does."""
    rows = [_row(impact, table) for impact in rehearsal for table in impact["tables"] if _matters(table)]
    if not rows:
        return None
    for above, row in zip(reversed(rows[:-1]), reversed(rows[1:]), strict=True):
        if above[0] == row[0]:
            row[0] = ""
    first, last = rehearsal[0], rehearsal[-1]
    total = _space(sum(impact["wal"] or 0 for impact in rehearsal), first["size_before"], last["size_after"])
    return {"title": _TITLE, "columns": _COLUMNS, "rows": rows, "lines": [total] if total else []}


def lines(rehearsal: Sequence[Impact]) -> list[str]:
    """All that was seen, a line for each migration, and below it one for each table that it locked."""
    return [line for impact in rehearsal for line in _lines(impact)]


def _waits(table: Table) -> Mapping[str, Any]:
    """The lock of a table that kept others waiting the longest; its longest one where none did."""
    locks = sorted(table["locks"], key=lambda lock: (bool(lock["blocks"]), lock["seconds"]), reverse=True)
    return locks[0] if locks else {"mode": "", "seconds": 0.0, "blocks": ""}


def _matters(table: Table) -> bool:
    lock = _waits(table)
    return bool(
        (lock["blocks"] and lock["seconds"] >= SECONDS) or (table["rewritten"] and table["size_before"] >= REWRITTEN)
    )


def _row(impact: Impact, table: Table) -> list[Any]:
    lock = _waits(table)
    rate = table["live_writes"] if lock["blocks"] == "writes" else table["live_statements"]
    return [
        impact["migration"],
        table["table"].removeprefix("public."),
        lock["mode"],
        duration(lock["seconds"]),
        human(table["size_before"] if table["live_size"] is None else table["live_size"]),
        None if rate is None else f"{rate:,.{0 if rate >= 10 else 1}f}",
        ", ".join(["rewritten"] if table["rewritten"] else _rows(table)),
    ]


def _rows(table: Table) -> list[str]:
    return [f"{table[f'rows_{verb}']:,} {verb}" for verb in _VERBS if table[f"rows_{verb}"]]


def _lines(impact: Impact) -> Iterator[str]:
    space = _space(impact["wal"], impact["size_before"], impact["size_after"])
    said = [f"{impact['seconds']:.3f} s", space and f"{'' if impact['wal_own'] else 'at most '}{space}"]
    unseen = "" if impact["complete"] else "not all locks were seen"
    yield f"{impact['migration']}: {'; '.join(filter(None, [*said, unseen]))}"
    for table in impact["tables"]:
        locks = ", ".join(f"{lock['mode']} {lock['seconds']:.3f} s" for lock in table["locks"])
        after = table["size_after"]
        said = [
            "rewritten" if table["rewritten"] else "",
            counted(table["scans"], "scan") if table["scans"] else "",
            f"rows {', '.join(_rows(table))}" if _rows(table) else "",
            "gone" if after is None else _from_to(table["size_before"], after),
        ]
        yield "; ".join([f"  {table['table']}: {locks}", *filter(None, said), *_live(table)])


def _live(table: Table) -> Iterator[str]:
    if table["live_size"] is not None:
        rate = table["live_statements"]
        yield f"live {human(table['live_size'])}" + ("" if rate is None else f", {rate:,g} statements a second")
    yield from table["live_queries"]


def _space(wal: int | None, before: int | None, after: int | None) -> str:
    """Of the log and the database, '' where the server did not say."""
    if wal is None or before is None or after is None:
        return ""
    return f"{human(wal)} of WAL, the database {_from_to(before, after)}"


def _from_to(before: int, after: int) -> str:
    return human(before) if human(before) == human(after) else f"{human(before)} → {human(after)}"
