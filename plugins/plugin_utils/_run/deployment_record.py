# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run: what the ledger keeps of it, made of what the phases have noted on each host."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.evidence import Evidence

FORMAT = 1
UNREACHABLE = "A host can't be reached; see Ansible's own words above."


@dataclass(frozen=True)
class Phase:
    """One phase on one host. ``status`` is ok, failed, or stopped because of another host; ``started`` may be ''."""

    name: str
    host: str
    status: str
    seconds: float
    started: str = ""


@dataclass(frozen=True)
class Record:
    """What a run was; see docs/formats.md. Times are ISO 8601 in UTC, ``facts`` what the run found, by name.

    ``rehearsal`` is what was seen of each migration on a copy, as the module migrations returns it, if there was one;
    ``probe`` how the releases answered there, as the module release_probe returns it.
    ``hooks`` are the commands of hooks that were run, each with hook, command, started, seconds and output.
    ``evidence`` is what else it found and did.
    ``revision`` is the commit of the application's directory, with -dirty where files were changed since; '' for none.
    """

    application: str
    environment: str
    verb: str
    release: str
    started: str
    finished: str
    status: str
    phases: Sequence[Phase] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    failed_phase: str = ""
    error: str = ""
    revision: str = ""
    rehearsal: Sequence[Mapping[str, Any]] = ()
    hooks: Sequence[Mapping[str, Any]] = ()
    probe: Mapping[str, Any] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    format: int = FORMAT

    def result(self) -> dict[str, Any]:
        """The record as JSON keeps it; what a run did not have, such as a rehearsal or hooks, is left out."""
        kept = asdict(self)
        kept |= kept.pop("evidence")
        absent = {name for name in _NOT_OF_ALL if not kept[name]} | ({"error"} if not self.failed_phase else set())
        return {name: value for name, value in kept.items() if name not in absent}


_NOT_OF_ALL = (
    "former", "rehearsal", "hooks", "probe", "failed_phase", "images", "applied", "backup", "verification", "schema",
)  # fmt: skip


def of_ledger(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without the schema, which is too large for a line of the ledger."""
    return {name: value for name, value in record.items() if name != "schema"}


def phases(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Phase]:
    """The phases of all hosts, by host, since each host notes its own."""
    return [
        Phase(each["name"], each["host"], each["status"], float(each["seconds"]), _stamp(each.get("started")))
        for of_host in results.values()
        for each in of_host
    ]


def _stamp(seconds: object) -> str:
    """Seconds since 1970 in ISO 8601, '' for None."""
    if seconds is None:
        return ""
    return datetime.datetime.fromtimestamp(float(str(seconds)), datetime.UTC).isoformat(timespec="milliseconds")


def error(errors: Mapping[str, str], several: bool, lost: Iterable[str] = ()) -> str:
    """A line for each host with an error of its own, with its name where the run has ``several`` hosts.

    A host that was stopped because of another has the error ''; one that is ``lost`` could tell none.
    """
    own = [f"{host}: {text}" if several else text for host, text in errors.items() if text]
    gone = [f"{host} can't be reached any more; see Ansible's own words above." for host in lost]
    return "\n".join([*own, *gone]).strip() or UNREACHABLE


def stopped(errors: Mapping[str, str]) -> str:
    """Why a run does not go on, '' when nothing has gone wrong on any host."""
    where = ", ".join(errors)
    return f"A phase failed, so nothing more is done: see its error above, at {where}." if errors else ""
