# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._release.entry import backends, out_of_use, turned

SITE = """upstream shop {
    zone shop 64k;
    server 10.0.0.5:8080 max_fails=1 fail_timeout=2s; # web1
    server [fd00::6]:8080 max_fails=1 fail_timeout=2s down; # web2
    server 10.0.0.7:8080; # web2.example.com
}
server {
    listen 8080;
    server_name shop.example.com; # not web1
}
"""


def test_the_backends_of_a_site() -> None:
    assert backends(SITE) == {"web1": "10.0.0.5:8080", "web2": "[fd00::6]:8080", "web2.example.com": "10.0.0.7:8080"}
    assert out_of_use(SITE) == {"web2"}
    assert (backends(""), out_of_use("")) == ({}, set())


@pytest.mark.parametrize(
    ("name", "out", "left"),
    [
        ("web1", True, {"web1", "web2"}),
        ("web2", True, {"web2"}),
        ("web2", False, set()),
        ("web2.example.com", True, {"web2", "web2.example.com"}),
        ("web3", True, {"web2"}),
    ],
)
def test_one_of_them_is_turned(name: str, out: bool, left: set[str]) -> None:
    assert out_of_use(turned(SITE, name, out)) == left
    assert backends(turned(SITE, name, out)) == backends(SITE)


def test_there_and_back_it_is_the_same() -> None:
    assert turned(turned(SITE, "web1", True), "web1", False) == SITE
