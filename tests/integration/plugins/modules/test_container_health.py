# SPDX-License-Identifier: GPL-3.0-or-later
"""A container is waited for until it is healthy, or can't get so any more; the engine is a script here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.modules import run_module
from support.proxy import SECRET, Proxy, proxy

pytestmark = pytest.mark.once


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Proxy]:
    with proxy(tmp_path) as found:
        yield found


def health(status: str, check: str = "", *, restarts: int = 0, said: str = "") -> dict[str, Any]:
    log = {"Health": {"Status": check, "Log": [{"Output": said}]}} if check else {}
    test = {"Test": ["CMD", "curl", "--fail", "x"]} if check else None
    return {"state": {"Status": status, **log}, "restarts": restarts, "check": test}


def wait(*, check: bool = False, **more: object) -> dict[str, Any]:
    return run_module("container_health", {"name": "new", "timeout": 0, **more}, check=check)


def test_one_that_is_healthy(host: Proxy) -> None:
    host.container("new", health("running", "healthy"))
    for check in (True, False):
        found = wait(check=check)
        assert (found["changed"], found["healthy"]) == (False, True)


def test_one_that_gets_healthy_is_waited_for(host: Proxy) -> None:
    host.container("new", health("running", "starting"))
    assert wait(check=True)["healthy"] is False  # it looks once
    later = threading.Timer(0.3, host.container, ("new", health("running", "healthy")))
    later.start()
    found = wait(timeout=30)
    later.join()
    assert found["healthy"] is True
    assert found["seconds"] >= 0.2


def test_the_engines_first_check_is_not_waited_for(host: Proxy) -> None:
    host.container("new", health("running", "starting"))
    later = threading.Timer(0.3, (host.home / "passes").touch)
    later.start()
    found = wait(timeout=30)
    later.join()
    assert (found["healthy"], found["changed"]) == (True, False)
    assert 0.2 <= found["seconds"] < 20
    asked = [call for call in host.calls if call.startswith("exec")]
    assert set(asked) == {"exec new curl --fail x"}
    assert 2 <= len(asked) <= 20  # not as often as the engine is looked at


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (
            health("running", "unhealthy", said=f"x\nno login: {SECRET}"),
            "after 0 s it is unhealthy (the health check said: no login: ********)",
        ),
        (health("running"), "it has no health check"),
        (health("exited", "starting"), "it is exited"),
    ],
)
def test_one_that_does_not_get_healthy(host: Proxy, state: dict[str, Any], why: str) -> None:
    host.container("new", state)
    log = "nothing at postgresql://app:********@db"
    failed = wait()
    assert failed["msg"] == (
        f"Container new did not get healthy: {why}. What served before still serves. Correct what the end of its log "
        f"shows and run again.\n{log}"
    )
    assert failed["log"] == log
    assert SECRET not in json.dumps(failed)
    assert "It was removed; what served before still serves." in wait(remove=True)["msg"]
    assert wait()["msg"] == "There is no container new on this host: start it before waiting for its health."


def test_one_that_ends_again_and_again_is_not_waited_for(host: Proxy) -> None:
    host.container("new", health("running", "starting", restarts=2))
    threading.Timer(0.3, host.container, ("new", health("running", "starting", restarts=5))).start()
    assert "did not get healthy: its process has ended 3 times. " in wait(timeout=60)["msg"]
