# SPDX-License-Identifier: GPL-3.0-or-later
"""How far scripts can be run on a copy."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script
from ansible_collections.slipway.deploy.plugins.module_utils._migration.rehearsal import Extent, extent, not_rehearsed
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import parse

SHARES_NOT = "can't share the transaction in which it would be rolled back"
PLAIN, ALONE = "CREATE TABLE t ()", "VACUUM t"
ROLE = "CREATE ROLE r"
SETTING = "ALTER SYSTEM SET work_mem = '5MB'"
CREATES = "creates a role (1.sql:1:1)"


def scripts(*texts: str) -> list[Script]:
    return [parse(text.encode(), f"{number}.sql") for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), Extent(0, 0, "", SHARES_NOT)),
        ((PLAIN, ALONE, PLAIN), Extent(3, 0, "", SHARES_NOT)),
        ((PLAIN, ROLE, PLAIN), Extent(1, 2, CREATES, SHARES_NOT)),
        ((PLAIN, ROLE, ALONE, PLAIN), Extent(1, 1, CREATES, SHARES_NOT)),
        ((PLAIN, f"{ROLE}; {ALONE}"), Extent(1, 0, "", SHARES_NOT)),
        ((PLAIN, f"{ROLE}; CREATE TABLE u (); ROLLBACK; SELECT 1"), Extent(1, 0, "", SHARES_NOT)),
        (
            (PLAIN, SETTING),
            Extent(1, 0, "", "changes the server's settings (1.sql:1:1), for the whole server and not only for a copy"),
        ),
    ],
)
def test_how_far(texts: tuple[str, ...], expected: Extent) -> None:
    assert extent(scripts(*texts)) == expected


def test_one_without_a_script_is_left_to_say_so_itself() -> None:
    assert extent([None, *scripts(PLAIN)]) == Extent(2, 0, "", SHARES_NOT)
    assert extent([*scripts(PLAIN, ROLE), None]) == Extent(1, 2, CREATES, SHARES_NOT)


def test_the_sentence() -> None:
    assert not_rehearsed("The migration '1_a'", SHARES_NOT) == (
        f"The migration '1_a' {SHARES_NOT}: it was not rehearsed, nor was what comes after it."
    )
