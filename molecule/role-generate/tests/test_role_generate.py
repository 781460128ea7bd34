# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of a schema, and what a command makes of them, by role generate alone: seen in the files."""

from __future__ import annotations

import pytest
from support.role import STATE, files, refused, schema

SOURCE = STATE / "migrations"  # a directory that is there


def test_the_models_are_the_schemas() -> None:
    models = (SOURCE / "models.py").read_text()
    assert "class Builds(Base):" in models
    assert "status: Mapped[str]" in models
    assert "_prisma_migrations" not in models


def test_the_command_ran_after_that() -> None:
    assert int((SOURCE / "lines.txt").read_text()) == (SOURCE / "models.py").read_text().count("\n")


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"generate_command": ["/no/such/program"]}, "/no/such/program"),
        ({"generate_command": ["sh", "-c", "echo no template; exit 3"]}, "no template"),
        (
            {"scenario_login": {"login_unix_socket": "/no/such", "login_db": "shop", "login_user": "shop_owner"}},
            "/no/such",
        ),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(variables: dict[str, object], said: str) -> None:
    before = (files(SOURCE), schema())
    assert said in refused(**variables)
    assert (files(SOURCE), schema()) == before
