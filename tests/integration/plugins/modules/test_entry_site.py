# SPDX-License-Identifier: GPL-3.0-or-later
"""A site is led to its backends once, and a second run changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.proxy import backend, proxy

pytestmark = pytest.mark.once


def test_four_runs(tmp_path: Path) -> None:
    with proxy(tmp_path) as nginx, backend() as web:
        site = nginx.file.parent / "sites" / "shop.conf"
        actions = [f"Wrote {nginx.file}.", f"Wrote {site}.", "Reloaded nginx."]
        check = nginx.site({"web": web}, check=True)
        assert (check["changed"], check["pending"], check["actions"]) == (True, False, actions)
        assert "# web" in check["diff"]["after"]
        assert not site.exists()

        done = nginx.site({"web": web})
        assert (done["changed"], done["pending"], done["actions"]) == (True, False, actions)
        assert nginx.served == f"old one\nserver 127.0.0.1:{web.port} max_fails=1; # web"

        for flag in (True, False):
            again = nginx.site({"web": web}, check=flag)
            assert (again["changed"], again["pending"], again["actions"]) == (False, False, [])


def test_what_it_needs_is_said(tmp_path: Path) -> None:
    with proxy(tmp_path) as nginx:
        assert nginx.site({}, state="out")["msg"] == "state is out but all of the following are missing: backend"
