# SPDX-License-Identifier: GPL-3.0-or-later
"""A killed controller leaves a module at work on the host: the next run ends it before it acts itself."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

from e2e.conftest import Deployed


def wait_until(condition: Callable[[], object], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def service(deployed: Deployed) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((deployed.state / "backend/state.json").read_text())
    return found


def release(deployed: Deployed, text: str) -> None:
    """Make another release of the application."""
    (deployed.application / "frontend/release.txt").write_text(text)


def test_a_run_killed_in_the_drain_does_not_stop_the_next_release(deployed: Deployed) -> None:
    deployed.first.succeeded()
    before = service(deployed)["app"]["pid"]
    with socket.create_connection(("127.0.0.1", deployed.port)), deployed.asked_all_along() as troubles:
        release(deployed, "killed in the drain")
        killed = deployed.start("deploy.yml")
        wait_until(lambda: service(deployed)["app"]["pid"] != before and service(deployed)["spare"])
        killed.kill()
        killed.communicate()
        release(deployed, "after that")
        outcome = deployed.deploy().succeeded()
        time.sleep(12)  # longer than the drain of the one that was killed
    assert troubles == []
    assert service(deployed)["spare"] == []
    print(outcome.output)
    print(deployed.processes(), service(deployed))
