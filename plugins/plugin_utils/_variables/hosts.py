# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the hosts of an inventory, where there are several that act for one another."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from typing import Any

_ANOTHERS = "inventory_hostname"


def connection_errors(connections: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each variable of a connection that would lead to another host than the one that is meant.

    ``connections`` are the variables of each host as they are written. With ``delegate_to`` Ansible reads those of the
    host that acts, but fills in ``inventory_hostname`` of the one that it acts for.
    """
    if len(connections) < 2:
        return []
    found = {
        name: host
        for host, variables in reversed(list(connections.items()))
        for name, value in variables.items()
        if name.startswith("ansible_") and isinstance(value, str) and "{{" in value and _ANOTHERS in value
    }
    return [
        f"{name} of {host} is made from {_ANOTHERS}, for which Ansible takes another host's name where one host acts "
        f"for another: give each host an {name} of its own in the inventory."
        for name, host in sorted(found.items())
    ]


def entry_problems(
    values: Mapping[str, Any], groups: Mapping[str, Collection[str]], addresses: Mapping[str, str]
) -> list[str]:
    """A sentence where the backends can't be reached through the hosts of the group frontend as they are told to be.

    ``addresses`` are the ``ansible_host`` of these hosts.
    """
    entries = groups.get("frontend", ())
    if not entries:
        return []
    if values.get("app_runtime") == "process":
        return [
            "The group frontend has hosts but app_runtime is process: only containers are reached through hosts in "
            "front of them. Take the hosts out of the group, or set app_runtime to container."
        ]
    found = []
    if not values.get("app_domains"):
        found.append("The group frontend has hosts, which know an application by its domains: set app_domains.")
    if values.get("app_acme") and len(entries) > 1:
        found.append(
            f"app_acme is set and the group frontend has {len(entries)} hosts, of which an ACME server asks any: leave "
            "one, or give them a certificate with app_certificate."
        )
    elsewhere = {host: address for host, address in addresses.items() if set(groups.get("backend", ())) - {host}}
    if "app_entry_addresses" not in values:
        found += [
            f"ansible_host of {host} is {address}, which is no IP address: set app_entry_addresses to those from which "
            "the hosts of the group frontend reach the backends."
            for host, address in elsewhere.items()
            if not _is_address(address)
        ]
    return found


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False
