# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine says of a container's health, and when waiting any longer is pointless."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

# For `docker container inspect --format`.
TEMPLATE = '{"state": {{json .State}}, "restarts": {{.RestartCount}}, "check": {{json .Config.Healthcheck}}}'
# A process that ended this often since it was started will not get healthy.
RESTARTS = 3


def command(test: Sequence[str]) -> tuple[str, ...]:
    """The command of a health check as the engine runs it (Dockerfile reference, HEALTHCHECK)."""
    kind, *words = test
    return {"CMD": tuple(words), "CMD-SHELL": ("/bin/sh", "-c", *words)}.get(kind, ())


@dataclass(frozen=True)
class Health:
    """``status`` is ``docker ps``'s word, ``health`` the check's (none without one), ``said`` its last output.

    ``check`` is the command of the check, in the container; empty where there is none.
    """

    status: str
    health: str
    restarts: int
    said: str = ""
    check: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Health:
        """Parse what ``TEMPLATE`` gives."""
        data = json.loads(text)
        check = data["state"].get("Health") or {}
        checks = check.get("Log") or [{"Output": ""}]
        lines = checks[-1]["Output"].strip().splitlines() or [""]
        test = (data.get("check") or {}).get("Test") or ["NONE"]
        return cls(data["state"]["Status"], check.get("Status", "none"), data["restarts"], lines[-1], command(test))

    @property
    def healthy(self) -> bool:
        return self.status == "running" and self.health == "healthy"

    def failure_reason(self, restarts_before: int) -> str:
        """Why it can't get healthy any more, in a few words; nothing while it still can."""
        if self.health == "none":
            return "it has no health check"
        if self.restarts - restarts_before >= RESTARTS:
            return f"its process has ended {self.restarts - restarts_before} times"
        if self.status in ("exited", "dead", "created"):
            return f"it is {self.status}"
        return ""
