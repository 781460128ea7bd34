# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx import Wanted
from ansible_collections.slipway.deploy.plugins.module_utils._release.nginx_container import Nginx, fault
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
        assert fault(Wanted("new", "X-Release", "two"), url, domain="shop.example.com") is None
        assert web.asked == ["shop.example.com"]
        found = fault(Wanted("", "X-Release", "three"), url)
        assert found
        assert found.what == f"{url} answers with X-Release 'two' instead of 'three'"
    gone = fault(Wanted(""), url)
    assert gone
    assert "gives no answer" in gone.what
