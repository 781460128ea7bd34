# SPDX-License-Identifier: GPL-3.0-or-later
"""What is between a module and the server, as far as it can be told without one."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import check_version


def test_an_old_server_is_refused() -> None:
    with pytest.raises(
        SlipwayError, match=r"^The server is PostgreSQL 11: Slipway needs 12 or newer, upgrade the server\.$"
    ):
        check_version(110022)


@pytest.mark.parametrize("version", [120000, 160014, 180004])
def test_a_newer_one_is_not(version: int) -> None:
    check_version(version)
