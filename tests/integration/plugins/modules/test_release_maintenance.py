# SPDX-License-Identifier: GPL-3.0-or-later
"""A file for each release that nginx is not to lead to for a while."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.modules import run_module

pytestmark = pytest.mark.once

NO_LONGER = "nginx no longer answers that the application is not available."


def test_it_begins_and_ends_once(tmp_path: Path) -> None:
    options = {"directory": str(tmp_path), "release": "one"}
    file = tmp_path / "maintenance-one"
    for state, said in (("present", "nginx answers that the application is not available."), ("absent", NO_LONGER)):
        for check, changed in ((True, True), (False, True), (True, False), (False, False)):
            found = run_module("release_maintenance", options | {"state": state}, check=check)
            assert (found["changed"], found["actions"]) == (changed, [said] if changed else [])
            assert file.exists() == ((state == "present") != (check and changed))
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_nginx(tmp_path: Path) -> None:
    nowhere = {"directory": str(tmp_path / "none"), "release": "one"}
    said = run_module("release_maintenance", nowhere)["msg"]
    assert said.startswith(
        f"nginx can't be told whether the application is available: {tmp_path}/none/maintenance-one: No"
    )
    assert run_module("release_maintenance", nowhere | {"state": "absent"})["changed"] is False


def test_the_release_that_nginx_leads_to(tmp_path: Path) -> None:
    options = {"directory": str(tmp_path)}
    said = f"nginx on this host leads to no release yet, by {tmp_path}/nginx.conf: deploy first."
    assert run_module("release_maintenance", options)["msg"] == said
    (tmp_path / "nginx.conf").write_text("if (-f /etc/slipway/maintenance-1.4.2-rc+1) {\n  return 503;\n}\n")
    assert run_module("release_maintenance", options)["changed"]
    assert (tmp_path / "maintenance-1.4.2-rc+1").exists()
