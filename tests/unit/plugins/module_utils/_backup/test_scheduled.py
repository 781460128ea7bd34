# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scheduled run notes and tells; what a host does with it is seen in the test of the module."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup import scheduled
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import run_of

OWN = run_of(os.getpid(), "shop", "test", "scheduled backup")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"actions": [], "backup": "b1"}, {"status": "succeeded", "facts": {"backup": "b1"}}),
        ({"error": "No."}, {"status": "failed", "facts": {}, "failed_phase": "backup", "error": "No."}),
    ],
)
def test_the_record(found: dict[str, object], told: dict[str, object]) -> None:
    made = scheduled.record(OWN, found)
    assert told.items() <= made.items()
    assert ("error" in made) is (told["status"] == "failed")
    assert (made["verb"], made["run"]["user"]) == ("scheduled backup", OWN.user)
    json.dumps(made)


def test_a_ping_that_is_not_heard() -> None:
    assert scheduled.ping("", "No.") == ""
    assert scheduled.ping("http://127.0.0.1:9/secret", "") == (
        "The ping of 127.0.0.1:9 failed ([Errno 111] Connection refused)."
    )
