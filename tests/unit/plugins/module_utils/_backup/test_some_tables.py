# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables of a backup are meant."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.some_tables import (
    Table,
    choose,
    parsed,
    schema_of,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

TABLES = [("audit", "log"), ("audit", "orders"), ("b", "only"), ("public", "orders"), ("public", "users")]


@pytest.mark.parametrize(
    ("patterns", "tables"),
    [
        (["users"], [("public", "users")]),
        (["public.users", "users"], [("public", "users")]),
        (["orders"], [("public", "orders")]),
        (["only"], [("b", "only")]),
        (["audit.*"], [("audit", "log"), ("audit", "orders")]),
        (["*.log", "u*"], [("audit", "log"), ("public", "users")]),
        (['"audit"."log"'], [("audit", "log")]),
    ],
)
def test_choose(patterns: list[str], tables: list[Table]) -> None:
    assert choose(patterns, TABLES, "b1") == tables


@pytest.mark.parametrize(
    ("pattern", "error"),
    [
        ("user", "Backup 'b1' has no table 'user', and nothing was changed: did you mean users?"),
        ("audit.logs", "did you mean audit.log"),
        ("xyzzy", "it has audit.log; audit.orders; b.only; public.orders; public.users."),
        ("*.orders", "More than one schema of backup 'b1' has a table 'orders'"),
    ],
)
def test_what_can_not_be_chosen(pattern: str, error: str) -> None:
    with pytest.raises(SlipwayError) as raised:
        choose([pattern], TABLES, "b1")
    assert error in str(raised.value)


def test_names() -> None:
    assert parsed('"Zwölf ""Affen"""."ta.b"') == ('Zwölf "Affen"', "ta.b")
    assert parsed("users") == ("", "users")
    assert schema_of("20250806T093012.345Z_1.4.2") == "restored_20250806t093012_345z_1_4_2"
    assert len(schema_of("2" * 100)) == 63
