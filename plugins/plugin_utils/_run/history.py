# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's records as a person reads them: a row of a table each, or one of them in full."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

NONE = "-"
_HASH, _DIRTY = 7, "-dirty"


def row(record: Mapping[str, Any]) -> list[str]:
    """A record of the ledger with its ``number``, in the columns of the table.

    They are number, time (UTC), verb, who and from where, release and revision, how many migrations were applied,
    whether there is a backup, seconds, outcome: what fits a terminal of 80 columns.
    """
    run, facts = record.get("run", {}), record.get("facts", {})
    names = migrations(facts)
    return [
        str(record["number"]),
        (record.get("finished") or record.get("started", ""))[:16].replace("T", " "),
        record.get("verb", ""),
        f"{run.get('user', '')} {run.get('controller', '')}".strip(),
        f"{record.get('release', '')} {short(record.get('revision', ''))}".strip() or NONE,
        str(len(names)) if names else NONE,
        "yes" if backup(facts) else NONE,
        NONE if seconds(record) is None else f"{seconds(record):.0f}",
        outcome(record),
    ]


def details(record: Mapping[str, Any], rehearsal: Sequence[str] = ()) -> list[str]:
    """The lines that show all that one record with its ``number`` says to a person.

    ``rehearsal`` are the lines about what was seen in that.
    """
    run, facts = record.get("run", {}), dict(record.get("facts", {}))
    names = migrations(facts)
    took = seconds(record)
    pairs = {
        "verb": record.get("verb", ""),
        "outcome": outcome(record),
        "started": record.get("started", ""),
        "finished": record.get("finished", ""),
        "seconds": "" if took is None else f"{took:.0f}",
        "who": run.get("user", ""),
        "from": f"{run.get('controller', '')}, pid {run['pid']}" if "pid" in run else run.get("controller", ""),
        "release": record.get("release", ""),
        "revision": record.get("revision", ""),
        **{name: value for name, value in facts.items() if name not in ("release", "migrations" if names else "")},
        "page": record.get("page", ""),
    }
    several = len({phase["host"] for phase in record.get("phases", [])}) > 1
    phases = [
        f"{phase['name']}{' at ' + phase['host'] if several else ''}: {phase['status']}, {phase['seconds']:g} s"
        for phase in record.get("phases", [])
    ]
    lists = {
        "migrations": names,
        "rehearsal": rehearsal,
        "hooks": [line for ran in record.get("hooks", []) for line in hook(ran)],
        "phases": phases,
        "error": record.get("error", "").splitlines(),
    }
    shown = {
        **{name: [text(value)] for name, value in pairs.items() if value not in ("", None)},
        **{name: lines for name, lines in lists.items() if lines},
    }
    width = max(map(len, shown), default=0)
    return [
        f"{record.get('application', '')}/{record.get('environment', '')}: run {record['number']}",
        *(
            f"  {(name if first else '').ljust(width)}  {line}"
            for name, lines in shown.items()
            for first, line in zip((True, *(False,) * len(lines)), lines, strict=False)
        ),
    ]


def hook(ran: Mapping[str, Any]) -> list[str]:
    """A command of a hook and, in lines of their own, what it wrote."""
    return [
        f"{ran['hook']}: {ran['command']}, {ran['seconds']:g} s",
        *(f"  {line}" for line in str(ran["output"]).splitlines()),
    ]


def text(value: object) -> str:
    """A fact, which is mostly a text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def short(revision: str) -> str:
    """A commit as git shortens it, with a + where files were changed since."""
    commit = revision[: -len(_DIRTY)] if revision.endswith(_DIRTY) else revision
    return commit[:_HASH] + ("+" if commit != revision else "")


def migrations(facts: Mapping[str, Any]) -> Sequence[str]:
    """The migrations that a run applied; the fact is their names, or else a sentence."""
    names = str(facts.get("migrations", "")).split(", ")
    return names if names[0] and not any(" " in name for name in names) else []


def backup(facts: Mapping[str, Any]) -> str:
    """The backup that a run took, or put in place; the fact is its name with remarks, or else a sentence."""
    name = (str(facts.get("backup") or facts.get("restored") or "").split() or [""])[0].rstrip(",;:")
    return name if name[:8].isdigit() else ""


def seconds(record: Mapping[str, Any]) -> float | None:
    """How long a run took; None where its record does not say when it began and ended."""
    try:
        began, ended = (_time(record[name]) for name in ("started", "finished"))
    except (KeyError, ValueError):
        return None
    return (ended - began).total_seconds()


def _time(stamp: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(stamp)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def outcome(record: Mapping[str, Any]) -> str:
    """How a run ended, and in which phase where it failed."""
    phase = record.get("failed_phase", "")
    return f"{record.get('status', '')} in {phase}" if phase else str(record.get("status", ""))
