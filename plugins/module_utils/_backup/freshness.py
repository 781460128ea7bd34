# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether there is a backup to rely on now: proved, young enough, away, and shown by a drill."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup.drill import Drill
from ansible_collections.slipway.deploy.plugins.module_utils._text import duration

HOUR = 3600


@dataclass(frozen=True)
class Limits:
    """Hours that the newest proved backup and the last drill may be old; whether copies and drills are expected."""

    age: float
    drill_age: float
    away: bool
    drills: bool


def problems(
    backups: Sequence[Mapping[str, Any]], drill: Drill | None, limits: Limits, now: datetime.datetime
) -> list[str]:
    """A sentence for each thing that is not as it should be. ``backups`` have a name, proved, age in s, and where."""
    found = []
    proved = sorted((each for each in backups if each["proved"]), key=lambda each: float(each["age"]))
    if not proved:
        found.append("There is no proved backup: take one.")
    elif proved[0]["age"] > limits.age * HOUR:
        found.append(
            f"The newest proved backup, {proved[0]['name']}, is {duration(proved[0]['age'])} old, and "
            f"{limits.age:g} h are allowed: see why none was taken since, and take one."
        )
    if proved and limits.away and proved[0]["where"] == "here":
        found.append(f"The newest proved backup, {proved[0]['name']}, is not away from its host: take another one.")
    if drill and drill.problem:
        found.append(f"The last drill, {drill.at}, failed: {drill.problem}")
    elif limits.drills:
        age = (now - datetime.datetime.fromisoformat(drill.at)).total_seconds() if drill else 0
        if drill is None:
            found.append("No drill was made yet: see that its timer runs, or start its service.")
        elif age > limits.drill_age * HOUR:
            found.append(
                f"The last drill was {duration(age)} ago, and {limits.drill_age:g} h are allowed: see that its timer "
                "runs, or start its service."
            )
    return found
