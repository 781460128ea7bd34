# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx import Wanted
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx_container import (
    Endpoint,
    Nginx,
    write,
)
from support.proxy import backend, proxy

pytestmark = pytest.mark.once


def test_its_workers_change_with_a_reload(tmp_path: Path) -> None:
    with proxy(tmp_path) as found:
        nginx = Nginx("nginx", "/etc/slipway/nginx.conf")
        assert nginx.runs()
        assert nginx.refusal() == ""
        before = nginx.reload()
        assert before != nginx.workers()
        assert nginx.drained(before, 1)
        assert not nginx.drained(nginx.workers(), 0)
        found.file.write_text("old one broken")
        assert "unknown directive" in nginx.refusal()
        assert "was started and does not answer" in str(nginx.silence())


def test_what_is_wrong_with_an_answer() -> None:
    with backend() as web:
        url = f"http://127.0.0.1:{web.port}/ready"
        there = Endpoint(url, domain="shop.example.com")
        assert there.fault(Wanted("new", "X-Release", "two")) is None
        assert web.asked == ["shop.example.com"]
        assert there.listens()
        found = Endpoint(url).fault(Wanted("", "X-Release", "three"))
        assert found
        assert found.what == f"{url} answers with X-Release 'two' instead of 'three'"
    gone = there.fault(Wanted(""))
    assert gone
    assert "gives no answer" in gone.what
    assert not there.listens()


def test_the_answer_that_decides_is_the_last_one() -> None:
    """Another release that answers in the wanted one's place ends the wait; one that is not there yet does not."""
    with backend() as web:
        there = Endpoint(f"http://127.0.0.1:{web.port}/ready")
        assert there.verdict(Wanted("new", "X-Release", "two"), 0) is None
        other = there.verdict(Wanted("new", "X-Release", "three"), 60)
        assert other
        assert other.other_release
        assert len(web.asked) == 2


def test_a_configuration_is_for_all_to_read(tmp_path: Path) -> None:
    write(str(tmp_path / "made" / "nginx.conf"), "events {}")
    assert (tmp_path / "made" / "nginx.conf").read_text() == "events {}"
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o755
    with pytest.raises(SlipwayError, match=r"^/proc/none/nginx.conf can't be written: .*; give this user the right"):
        write("/proc/none/nginx.conf", "")
