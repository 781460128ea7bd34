# SPDX-License-Identifier: GPL-3.0-or-later
"""What nginx tells of itself and of the release that it points at: its answers, its workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# The header in which the configuration names the container that it leads to, in answers to requests with the other one.
UPSTREAM = "X-Slipway-Upstream"
PROBE = {"X_Slipway_Probe": "1"}


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


def workers(top: str) -> dict[str, bool]:
    """PIDs of nginx's workers, from ``docker top CONTAINER -eo pid,args``, and whether each takes connections.

    After a reload one that is shutting down takes none and ends when its requests have (nginx's manual, "Controlling
    nginx").
    """
    rows = [row for line in top.splitlines()[1:] if len(row := line.split(maxsplit=1)) == 2]
    return {pid: "shutting down" not in args for pid, args in rows if args.startswith("nginx: worker process")}
