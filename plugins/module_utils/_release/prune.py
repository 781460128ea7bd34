# SPDX-License-Identifier: GPL-3.0-or-later
"""What of earlier releases is stopped and removed once another serves, and how many of them stay for a rollback."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError


def to_prune(names: Sequence[str], current: str, keep: int) -> list[str]:
    """Which of ``names`` (newest first) to remove so that ``current`` and the ``keep`` newest others stay."""
    return [name for name in names if name != current][keep:]


RUNNING = frozenset({"running", "restarting", "paused"})


@dataclass(frozen=True)
class Container:
    """One container as ``docker ps --no-trunc`` lists it."""

    name: str
    running: bool
    id: str = field(default="", compare=False)


@dataclass(frozen=True)
class Pruning:
    """Containers to stop, and those to remove after that."""

    stop: Sequence[str] = ()
    remove: Sequence[str] = ()

    @property
    def actions(self) -> list[str]:
        return [
            *(f"Stopped container {name}." for name in self.stop if name not in self.remove),
            *(f"Removed container {name}." for name in self.remove),
        ]


def containers(listing: str) -> list[Container]:
    """Parse ``docker ps --all --no-trunc --format '{{json .}}'``, newest first."""
    rows = (json.loads(line) for line in listing.splitlines())
    return [Container(row["Names"], row["State"] in RUNNING, row.get("ID", "")) for row in rows]


def insist_on_name(listed: Iterable[Container], upstream: str) -> None:
    """Raise SlipwayError where ``upstream`` is the id of a container, or its beginning, and no name.

    The containers that have another name than the one that serves are stopped.
    """
    names = {item.name: item.id for item in listed}
    found = [name for name, number in names.items() if upstream and number.startswith(upstream)]
    if found and upstream not in names:
        raise SlipwayError(
            f"{upstream} is the id of container {found[0]}, which nginx finds by its name: give that one."
        )


def prune(listed: Iterable[Container], serving: str, before: str, keep: int) -> Pruning:
    """Stop every container but ``serving``; keep ``keep`` of them for a rollback.

    Those that the configuration ``before`` leads to are kept first, then those that still ran, then the newest.
    """
    others = [item for item in listed if item.name != serving]
    others.sort(key=lambda item: (item.name not in before, not item.running))
    return Pruning(stop=[item.name for item in others if item.running], remove=[item.name for item in others[keep:]])
