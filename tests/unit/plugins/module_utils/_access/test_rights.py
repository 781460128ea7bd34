# SPDX-License-Identifier: GPL-3.0-or-later
"""How names get into SQL, and whose database it is. What the catalogue says is tested against a server."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import Roles, check_stamp
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError


@pytest.mark.parametrize("found", ["", "test"])
def test_own_database(found: str) -> None:
    check_stamp(found, "test", "autotest")


def test_another_environments_database() -> None:
    with pytest.raises(SlipwayError) as caught:
        check_stamp("prod", "test", "autotest")
    assert str(caught.value) == (
        "Database 'autotest' belongs to environment 'prod' but this inventory is 'test': nothing was changed; use the "
        "right inventory, or the right server in this one."
    )


def test_three_roles() -> None:
    Roles("shop_owner", "shop_app", "shop_readonly").insist_on_three()


@pytest.mark.parametrize(
    ("roles", "role", "both"),
    [
        (Roles("shop", "shop", "shop_readonly"), "shop", ("owner", "application", "application")),
        (Roles("shop", "shop_app", "shop"), "shop", ("owner", "readonly", "readonly")),
        (Roles("shop", "all", "all"), "all", ("application", "readonly", "readonly")),
    ],
)
def test_one_role_for_two(roles: Roles, role: str, both: tuple[str, str, str]) -> None:
    with pytest.raises(SlipwayError) as caught:
        roles.insist_on_three()
    assert str(caught.value) == (
        f"Role {role!r} is to be both {both[0]} and {both[1]}: nothing was changed; give the {both[2]} role "
        "another name."
    )
