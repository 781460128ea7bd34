# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx is pointed at another release once, and a second run changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.proxy import proxy

pytestmark = pytest.mark.once


def test_four_runs(tmp_path: Path) -> None:
    with proxy(tmp_path) as nginx:
        actions = [f"Wrote {nginx.file}.", "Reloaded nginx."]
        check = nginx.switch("new two", check=True)
        assert (check["changed"], check["pending"], check["actions"]) == (True, False, actions)
        assert (check["diff"]["before"], check["diff"]["after"]) == ("old one\n", "new two")
        assert (nginx.file.read_text(), nginx.served) == ("old one\n", "old one\n")

        done = nginx.switch("new two")
        assert (done["changed"], done["pending"], done["actions"]) == (True, False, actions)
        assert (nginx.file.read_text(), nginx.served) == ("new two", "new two")

        for flag in (True, False):
            again = nginx.switch("new two", check=flag)
            assert (again["changed"], again["pending"], again["actions"]) == (False, False, [])
            assert "timings" not in again


def test_an_nginx_that_still_serves_the_former_release_is_told_again(tmp_path: Path) -> None:
    """As after a run that ended between the file and the reload."""
    with proxy(tmp_path) as nginx:
        nginx.file.write_text("new two")
        for check in (True, False):
            assert nginx.switch("new two", check=check)["actions"] == ["Reloaded nginx."]
        assert nginx.served == "new two"
