# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.container_health import Health


def text(status: str, health: dict[str, Any] | None, restarts: int = 0, test: list[str] | None = None) -> str:
    check = {"Test": test, "Interval": 5} if test else None
    return json.dumps({"state": {"Status": status, "Health": health}, "restarts": restarts, "check": check})


@pytest.mark.parametrize(
    ("given", "health"),
    [
        (text("running", None), Health("running", "none", 0)),
        (text("running", {"Status": "starting", "Log": None}), Health("running", "starting", 0)),
        (
            text("running", {"Status": "unhealthy", "Log": [{"Output": "x"}, {"Output": "a\nrefused\n"}]}, 2),
            Health("running", "unhealthy", 2, "refused"),
        ),
        (text("running", None, test=["CMD", "curl", "-f", "x"]), Health("running", "none", 0, "", ("curl", "-f", "x"))),
        (
            text("running", None, test=["CMD-SHELL", "curl x || exit 1"]),
            Health("running", "none", 0, "", ("/bin/sh", "-c", "curl x || exit 1")),
        ),
        (text("running", None, test=["NONE"]), Health("running", "none", 0)),
    ],
)
def test_parse(given: str, health: Health) -> None:
    assert Health.parse(given) == health


@pytest.mark.parametrize(
    ("health", "healthy", "failure_reason"),
    [
        (Health("running", "starting", 0), False, ""),
        (Health("running", "healthy", 0), True, ""),
        (Health("running", "unhealthy", 0), False, ""),
        (Health("running", "none", 0), False, "it has no health check"),
        (Health("restarting", "starting", 4), False, ""),
        (Health("restarting", "starting", 5), False, "its process has ended 3 times"),
        (Health("exited", "unhealthy", 2), False, "it is exited"),
    ],
)
def test_verdict(health: Health, healthy: bool, failure_reason: str) -> None:
    assert (health.healthy, health.failure_reason(restarts_before=2)) == (healthy, failure_reason)
