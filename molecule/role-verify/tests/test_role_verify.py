# SPDX-License-Identifier: GPL-3.0-or-later
"""Role verify alone: it changes nothing, and stops at what is not as the migrations say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.role import STATE, databases, refused, schema, sql, use

ACCESS = {"owner": "shop_owner", "application": "shop_app", "readonly": "shop_readonly"}


def seen() -> tuple[object, ...]:
    """All that a verification must leave as it was."""
    return sql("SELECT * FROM _prisma_migrations ORDER BY id"), schema(), databases()


def test_nothing_was_written() -> None:
    assert databases() == ["postgres", "shop", "template0", "template1"]
    assert sql("SELECT count(*) FROM builds") == [(0,)]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"verify_tables": ["builds", "orders"]}, "Tables are missing though every migration is applied: orders."),
        ({"verify_drift": "never"}, "replay, snapshot, got: never"),
        ({"verify_path": "/no/such"}, "/no/such"),
        ({"verify_policy": {"drift": "never"}}, "never"),
        ({"verify_access": {**ACCESS, "application_password": "x"}}, "shop_app"),
    ],
)
def test_bad_input_is_refused(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before


def test_a_pending_migration_is_a_finding(tmp_path: Path) -> None:
    shutil.copytree(STATE / "migrations", tmp_path / "migrations")
    (tmp_path / "migrations" / "20250103000000_more").mkdir()
    (tmp_path / "migrations" / "20250103000000_more" / "migration.sql").write_text("CREATE TABLE t (x int);")
    before = seen()
    assert "Migrations are pending: 20250103000000_more." in refused(verify_path=str(tmp_path / "migrations"))
    assert seen() == before


def test_what_was_changed_by_hand_is_told_or_denied() -> None:
    sql("ALTER TABLE builds ADD COLUMN by_hand int", "shop_owner")
    try:
        status, said = use()
        assert (status, "by_hand" in said) == (0, True), said
        assert "by_hand" in refused(verify_policy={"drift": "deny"})
    finally:
        sql("ALTER TABLE builds DROP COLUMN by_hand", "shop_owner")
