# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run: what the ledger keeps of it, made of what the phases have noted on each host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1
UNREACHABLE = "A host can't be reached; see Ansible's own words above."


@dataclass(frozen=True)
class Phase:
    """One phase on one host. ``status`` is ok, failed, or stopped because of another host."""

    name: str
    host: str
    status: str
    seconds: float


@dataclass(frozen=True)
class Record:
    """A line of the ledger; see docs/formats.md. Times are ISO 8601 in UTC, ``facts`` what the run found, by name.

    ``rehearsal`` is what was seen of each migration on a copy, as the module migrations returns it, if there was one;
    ``probe`` how the releases answered there, as the module release_probe returns it.
    ``hooks`` are the commands of hooks that were run, each with hook, command, started, seconds and output.
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
    format: int = FORMAT

    def result(self) -> dict[str, Any]:
        """The record as JSON keeps it; what only a failure, a rehearsal or hooks have is left out of others."""
        absent = {
            "rehearsal": not self.rehearsal,
            "hooks": not self.hooks,
            "probe": not self.probe,
            "failed_phase": not self.failed_phase,
            "error": not self.failed_phase,
        }
        return {name: value for name, value in asdict(self).items() if not absent.get(name)}


def phases(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Phase]:
    """The phases of all hosts, by host, since each host notes its own."""
    return [
        Phase(each["name"], each["host"], each["status"], float(each["seconds"]))
        for of_host in results.values()
        for each in of_host
    ]


def error(errors: Mapping[str, str], several: bool) -> str:
    """A line for each host with an error of its own, with its name where the run has ``several`` hosts.

    A host that was stopped because of another has the error ''.
    """
    own = [f"{host}: {text}" if several else text for host, text in errors.items() if text]
    return "\n".join(own).strip() or UNREACHABLE


def stopped(errors: Mapping[str, str]) -> str:
    """Why a run does not go on, '' when nothing has gone wrong on any host."""
    where = ", ".join(errors)
    return f"A phase failed, so nothing more is done: see its error above, at {where}." if errors else ""
