# SPDX-License-Identifier: GPL-3.0-or-later
"""The phases of a run on one line of time."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

THINNEST = 0.4  # percent, so that a phase of no time can be seen


@dataclass(frozen=True)
class Bar:
    """A phase on a host; ``left`` and ``width`` are percent of the whole time, ``begins`` seconds from its start."""

    name: str
    host: str
    status: str
    seconds: float
    begins: float
    left: float
    width: float


@dataclass(frozen=True)
class Timeline:
    """All phases, in the order in which they began, and the seconds from the first to the last."""

    bars: tuple[Bar, ...]
    seconds: float


def timeline(phases: Sequence[Mapping[str, Any]]) -> Timeline:
    """The phases of a record. One that does not say when it began came after the one before it."""
    spans = sorted(_spans(phases), key=lambda span: span[0])
    origin = spans[0][0] if spans else 0.0
    whole = max((begin + phase["seconds"] - origin for begin, phase in spans), default=0.0)

    def percent(seconds: float) -> float:
        return round(100 * seconds / whole, 2) if whole else 0.0

    return Timeline(
        tuple(
            Bar(
                phase["name"], phase["host"], phase["status"], phase["seconds"], round(begin - origin, 1),
                left := min(percent(begin - origin), 100 - THINNEST),
                round(min(max(percent(phase["seconds"]), THINNEST), 100 - left), 2),
            )
            for begin, phase in spans
        ),
        round(whole, 1),
    )  # fmt: skip


def _spans(phases: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    end = 0.0
    for phase in phases:
        started = phase.get("started")
        begin = datetime.datetime.fromisoformat(started).timestamp() if started else end
        end = begin + phase["seconds"]
        yield begin, phase
