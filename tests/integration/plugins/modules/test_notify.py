# SPDX-License-Identifier: GPL-3.0-or-later
"""A message to those who are to be told; a dead receiver fails nothing, and in check mode nobody is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.modules import run_ansible
from support.receiver import receiving

pytestmark = pytest.mark.once


def test_a_message(tmp_path: Path) -> None:
    with receiving() as (place, told):
        arguments = {
            "receivers": [f"json://{place}/hook", "json://127.0.0.1:9/"],
            "title": "shop: none",
            "body": "Old.",
        }
        planned = run_ansible("slipway.deploy.notify", arguments, tmp_path, "--check")
        assert (planned["changed"], planned["told"], planned["unheard"], told) == (False, 0, [], [])
        found = run_ansible("slipway.deploy.notify", arguments, tmp_path)
    assert (found["changed"], found["told"], len(found["unheard"])) == (False, 1, 1)
    assert told == [{"path": "/hook", "title": "shop: none", "message": "Old.", "type": "failure"}]
