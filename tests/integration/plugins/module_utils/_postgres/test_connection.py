# SPDX-License-Identifier: GPL-3.0-or-later
"""What is between a module and the server."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import check_pooler, working
from conftest import Postgres
from support.migrations import Bed


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    return Bed(postgres, postgres.database(), tmp_path)


def test_settings_that_do_not_arrive_are_a_poolers(bed: Bed) -> None:
    with (
        working(bed.server, "public") as cursor,
        pytest.raises(SlipwayError, match=r"^The settings of the connection do not reach the server at .*PgBouncer"),
    ):
        check_pooler(cursor, bed.server, "other")
