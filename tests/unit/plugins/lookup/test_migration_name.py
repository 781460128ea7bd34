# SPDX-License-Identifier: GPL-3.0-or-later
"""A name is refused by a sentence."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.lookup.migration_name import problem


def test_a_name() -> None:
    assert problem("add_x", ["1_a"]) == ""
    assert problem("a b", []) == (
        "The name 'a b' can't be a migration's: use letters, digits, _ and - alone, such as -e name=add_orders."
    )
