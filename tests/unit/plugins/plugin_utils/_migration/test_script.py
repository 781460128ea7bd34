# SPDX-License-Identifier: GPL-3.0-or-later
"""How a text is cut into statements, and these into steps."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import steps
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import parse

STEPS = [
    ("", []),
    ("SELECT 1; SELECT 2", ["0-2"]),
    ("VACUUM", ["0-1!"]),
    ("SELECT 1; VACUUM; SELECT 2; SELECT 3", ["0-1", "1-2!", "2-4"]),
    ("BEGIN; SELECT 1; COMMIT", ["0-3"]),
    ("SELECT 0; BEGIN; SELECT 1; COMMIT; SELECT 2", ["0-1", "1-4", "4-5"]),
    ("BEGIN; VACUUM; COMMIT", ["0-3"]),
    ("BEGIN; ROLLBACK; VACUUM; VACUUM", ["0-2", "2-3!", "3-4!"]),
    ("SELECT 1; COMMIT; SELECT 2", ["0-2", "2-3"]),
]


@pytest.mark.parametrize(("sql", "expected"), STEPS)
def test_steps(sql: str, expected: list[str]) -> None:
    script = parse(sql.encode(), "f")
    assert [f"{each.first}-{each.last}{'!' * each.alone}" for each in steps(script.statements)] == expected


def test_statements_are_slices_of_the_text() -> None:
    script = parse("-- 🙂\nSELECT 'é'  ;\n/* x */ SELECT 2".encode(), "f")
    assert [script.sql(each) for each in script.statements] == ["SELECT 'é'  ", "SELECT 2"]
