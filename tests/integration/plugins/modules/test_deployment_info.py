# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of the last runs, and of who answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.deployment import LIVE, Host
from support.modules import run_module

pytestmark = pytest.mark.once


def test_what_is_known_of_the_last_runs(tmp_path: Path) -> None:
    host, asked = Host(tmp_path), {"directory": str(tmp_path / "state")}
    nothing = {"release": "", "deployed": "", "last": {}, "holder": "", "health": ""}
    assert run_module("deployment_info", asked)["deployment"] == nothing

    host.run("locked")
    succeeded = {"verb": "deploy", "status": "succeeded", "release": "one", "finished": "2026-01-02T03:04:05+00:00"}
    host.run("unlocked", record=succeeded)
    host.run("locked")
    host.run("unlocked", record={"verb": "seed", "status": "failed", "finished": "2026-01-03T03:04:05+00:00"})
    host.run("locked")
    found = run_module("deployment_info", {**asked, "url": "http://127.0.0.1:9/readyz"})["deployment"]
    assert (found["release"], found["deployed"]) == ("one", succeeded["finished"])
    assert (found["last"]["verb"], found["last"]["status"]) == ("seed", "failed")
    assert found["holder"].startswith("deploy by ")
    assert found["health"].startswith("http://127.0.0.1:9/readyz gives no answer (")
    assert run_module("deployment_info", asked)["records"] == []
    newest = run_module("deployment_info", {**asked, "records": 1})["records"]
    assert [(record["number"], record["verb"]) for record in newest] == [(2, "seed")]
    [first] = run_module("deployment_info", {**asked, "number": 1})["records"]
    assert (first["number"], first["release"], first["run"]["user"]) == (1, "one", LIVE.user)
    assert run_module("deployment_info", {**asked, "number": 3})["msg"] == (
        f"There is no run 3 in {host.state}/deployments.jsonl: they have the numbers up to 2."
    )
