# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run found and did, as the record keeps it: as much of the results of its modules as tells that to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# How much drift a record tells of: each has a definition that may be long.
MOST_DRIFT = 50


@dataclass(frozen=True)
class Image:
    """An image that a host's containers run: its name, and the engine's digest of it, '' where that is not known."""

    name: str
    digest: str = ""


@dataclass(frozen=True)
class Applied:
    """A migration that was applied to the database itself, not to a copy."""

    name: str
    seconds: float
    statements: int = 0
    attempts: int = 1


@dataclass(frozen=True)
class Backup:
    """A backup and its proof: what a restore of it had, and what could not be compared. Sizes are in bytes."""

    name: str
    database: str
    finished: str
    size: int
    sha256: str
    rows: int
    tables: int
    proved: bool
    server_version: str = ""
    unproved: Sequence[str] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    not_away: str = ""


@dataclass(frozen=True)
class Verification:
    """How the database stood at the end; ``drift`` is by object, with its expected and its found definition."""

    status: str
    findings: Sequence[str] = ()
    remarks: Sequence[str] = ()
    tables: int = 0
    rows: int = 0
    drift: Sequence[Mapping[str, Any]] = ()
    drift_against: str = ""


@dataclass(frozen=True)
class Schema:
    """The tables, as the module schema_info returns them, before the run and after it; None where that is not known."""

    before: Sequence[Mapping[str, Any]] | None = None
    after: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Evidence:
    """What a record has of all that; ``former`` is the release that served before the run, '' for none."""

    former: str = ""
    images: Sequence[Image] = ()
    applied: Sequence[Applied] = ()
    backup: Backup | None = None
    verification: Verification | None = None
    schema: Schema | None = None


def evidence(found: Mapping[str, Any]) -> Evidence:
    """The evidence in the results of modules, each of which may be missing, or of a task that failed or was skipped.

    They are ``former``, the release that served before, ``images``, a list of names and ids, ``applied`` as in the
    result of migrations, ``backup`` of backup, and ``before`` and ``verified``, of migrations_info.
    """
    before, verified = found.get("before") or {}, found.get("verified") or {}
    schema = Schema(_relations(before), _relations(verified))
    return Evidence(
        former=str(found.get("former") or ""),
        images=[Image(str(each["name"]), str(each.get("id") or "")) for each in found.get("images") or ()],
        applied=[
            Applied(str(each["name"]), float(each["seconds"]), int(each.get("statements", 0)), int(each["attempts"]))
            for each in found.get("applied") or ()
        ],
        backup=_backup(found.get("backup") or {}),
        verification=_verification(verified) if "migrations" in verified else None,
        schema=None if schema == Schema() else schema,
    )


def _relations(result: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found: list[Mapping[str, Any]] | None = (result.get("schema") or {}).get("relations")
    return found


def _backup(result: Mapping[str, Any]) -> Backup | None:
    made = result.get("backup") or {}
    if "sha256" not in made:  # check mode, or none
        return None
    return Backup(
        name=made["name"],
        database=made["database"],
        finished=made["finished"],
        size=int(made["size"]),
        sha256=made["sha256"],
        rows=int(made["rows"]),
        tables=len(made["tables"]),
        proved=bool(made["proved"]),
        server_version=str(made["server_version"]),
        unproved=list(made.get("unproved") or ()),
        seconds={step: float(each) for step, each in made["seconds"].items()},
        not_away=str((result.get("offsite") or {}).get("problem") or ""),
    )


def _verification(result: Mapping[str, Any]) -> Verification:
    schema = result.get("schema") or {}
    return Verification(
        status=result["migrations"]["status"],
        findings=list(result.get("findings") or ()),
        remarks=list(result.get("told") or ()),
        tables=len(schema.get("tables") or ()),
        rows=int(schema.get("rows") or 0),
        drift=list(result.get("drift") or ())[:MOST_DRIFT],
        drift_against=str(result.get("drift_against") or ""),
    )
