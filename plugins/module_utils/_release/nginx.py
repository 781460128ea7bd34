# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the wanted release answers through nginx, and which of its containers are needed then."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# The header in which the configuration names the container that it leads to, in answers to requests with the other one.
UPSTREAM = "X-Slipway-Upstream"
PROBE = {"X_Slipway_Probe": "1"}

RUNNING = frozenset({"running", "restarting", "paused"})


@dataclass(frozen=True)
class Wanted:
    """The release that shall answer: its container, and what it says of itself in ``header``; each may be ''."""

    upstream: str
    header: str = ""
    value: str = ""

    def fault(self, url: str, status: int, headers: Mapping[str, str]) -> Fault | None:
        """What is wrong with an answer of ``url``, or None. The headers' names are in lower case."""
        leads_to = headers.get(UPSTREAM.lower())
        if self.upstream and leads_to != self.upstream:
            return Fault(
                f"{url} is still led to {leads_to}" if leads_to else f"another than this nginx answers at {url}"
            )
        if not 200 <= status < 300:
            return Fault(f"{url} answers {status}")
        said = headers.get(self.header.lower()) if self.header and self.value else self.value
        if said == self.value:
            return None
        who = f"container {self.upstream}" if self.upstream else url
        if said is None:
            return Fault(f"{who} answers without the header {self.header}", other_release=bool(self.upstream))
        return Fault(
            f"{who} answers with {self.header} {said!r} instead of {self.value!r}", other_release=bool(self.upstream)
        )


@dataclass(frozen=True)
class Fault:
    """What is wrong, in a few words. ``other_release``: the wanted container answers, and says it is another."""

    what: str
    other_release: bool = False


@dataclass(frozen=True)
class Container:
    """One container as ``docker ps`` lists it."""

    name: str
    running: bool


@dataclass(frozen=True)
class Retirement:
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
    """Parse ``docker ps --all --format '{{json .}}'``, newest first."""
    rows = (json.loads(line) for line in listing.splitlines())
    return [Container(row["Names"], row["State"] in RUNNING) for row in rows]


def retire(listed: Iterable[Container], serving: str, before: str, keep: int) -> Retirement:
    """Stop every container but ``serving``; keep ``keep`` of them for a rollback.

    Those that the configuration ``before`` leads to are kept first, then those that still ran, then the newest.
    """
    others = [item for item in listed if item.name != serving]
    others.sort(key=lambda item: (item.name not in before, not item.running))
    return Retirement(stop=[item.name for item in others if item.running], remove=[item.name for item in others[keep:]])


def workers(top: str) -> set[str]:
    """PIDs of nginx's workers, those that are shutting down too, from ``docker top CONTAINER -eo pid,args``."""
    rows = (line.split(maxsplit=1) for line in top.splitlines()[1:])
    return {row[0] for row in rows if len(row) == 2 and row[1].startswith("nginx: worker process")}
