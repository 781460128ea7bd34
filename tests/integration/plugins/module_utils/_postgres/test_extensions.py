# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions that the owner may not create: the administrator does, and a migration that fails for one says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import extensions
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import autocommit
from conftest import Postgres
from support.migrations import Bed


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    bed = Bed(postgres, postgres.database(), tmp_path)
    bed.sql(f"CREATE ROLE {bed.database}_owner LOGIN PASSWORD '{postgres.password}'")
    bed.sql(f"ALTER DATABASE {bed.database} OWNER TO {bed.database}_owner")
    return bed


def test_an_extension_that_takes_an_administrator(bed: Bed) -> None:
    bed.write("1_v", '-- CreateExtension\nCREATE EXTENSION IF NOT EXISTS "vector"; CREATE TABLE doc (v vector(3))')
    administrator = bed.server
    bed.user = f"{bed.database}_owner"
    message = bed.fails()
    assert 'permission denied to create extension "vector"' in message
    assert message.endswith(
        "Nothing of this migration was kept: name the extension in app_extensions, so that the administrator creates "
        "it before migrations run again."
    )
    with autocommit(administrator) as cursor:
        [statement] = extensions.plan(cursor, ["plpgsql", "vector"])
        assert statement.done == "Created extension vector."
        cursor.execute(statement.sql)
        assert extensions.plan(cursor, ["plpgsql", "vector"]) == []
    bed.migrate()
    assert bed.tables() == ["doc"]


def test_an_extension_that_the_server_does_not_have(bed: Bed) -> None:
    bed.write("1_p", "CREATE EXTENSION pgcrypto")
    assert "kept: the server does not have the extension: install it there (Debian: its package for" in bed.fails()
    with (
        autocommit(bed.server) as cursor,
        pytest.raises(SlipwayError, match=r"^The server does not have the extension 'postgis', which app_extensions"),
    ):
        extensions.plan(cursor, ["vector", "postgis"])
