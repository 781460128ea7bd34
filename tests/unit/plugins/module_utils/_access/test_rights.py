# SPDX-License-Identifier: GPL-3.0-or-later
"""How names get into SQL, and whose database it is. What the catalogue says is tested against a server."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import check_stamp
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
