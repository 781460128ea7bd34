# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._variables.hosts import connection_errors, entry_problems

MADE = {"ansible_host": "{{ inventory_hostname }}.lan", "ansible_user": "deploy"}


def test_a_connection_that_is_made_from_the_hosts_name() -> None:
    assert connection_errors({"db": MADE}) == []
    assert connection_errors({"db": {"ansible_host": "10.0.0.5"}, "web": {"ansible_host": "inventory_hostname"}}) == []
    assert connection_errors({"db": {"other": "{{ inventory_hostname }}"}, "web": {"ansible_port": 22}}) == []
    assert connection_errors({"db": MADE, "web": MADE}) == [
        "ansible_host of db is made from inventory_hostname, for which Ansible takes another host's name where one "
        "host acts for another: give each host an ansible_host of its own in the inventory."
    ]


GOOD = {"app_runtime": "container", "app_domains": ["shop.example.com"]}
GROUPS = {"backend": ["web1", "web2"], "frontend": ["front"]}


@pytest.mark.parametrize(
    ("given", "frontend", "addresses", "told"),
    [
        ({}, ["front"], {"front": "10.0.0.9"}, []),
        ({}, ["front"], {"front": "fd00::9"}, []),
        ({"app_domains": []}, ["front"], {}, ["which know an application by its domains: set app_domains."]),
        ({"app_domains": []}, [], {}, []),
        ({"app_runtime": "process"}, ["front"], {}, ["app_runtime is process"]),
        ({"app_acme": {"email": "a@b.example"}}, ["front"], {}, []),
        ({"app_acme": {"email": "a@b.example"}}, ["front", "other"], {}, ["the group frontend has 2 hosts"]),
        ({}, ["front"], {"front": "front.lan"}, ["ansible_host of front is front.lan, which is no IP address"]),
        ({"app_entry_addresses": ["10.0.0.9"]}, ["front"], {"front": "front.lan"}, []),
    ],
)
def test_what_is_in_front_of_the_backends(
    given: dict[str, Any], frontend: list[str], addresses: dict[str, str], told: list[str]
) -> None:
    found = entry_problems({**GOOD, **given}, {**GROUPS, "frontend": frontend}, addresses)
    assert len(found) == len(told)
    assert all(part in sentence for part, sentence in zip(told, found, strict=True))


def test_one_host_that_is_all_of_it_is_reached_within() -> None:
    assert entry_problems(GOOD, {"backend": ["one"], "frontend": ["one"]}, {"one": "one.example.com"}) == []
