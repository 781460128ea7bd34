# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rules of the linter are about style, and which about tables."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.lint_relevance import RULES, Lint, is_style


@pytest.mark.parametrize(
    ("rule", "style"), [("ban-char-field", True), ("adding-required-field", False), ("renaming-table", False)]
)
def test_style(rule: str, style: bool) -> None:
    assert is_style(Lint("m.sql:1:1", rule, "no")) is style


def test_a_rule_counts_for_every_table_from_a_size_or_for_none() -> None:
    assert {rule for rule, size in RULES.items() if size < 0} == {
        "ban-char-field", "ban-truncate-cascade", "identifier-too-long", "prefer-timestamptz",
    }  # fmt: skip
    assert set(RULES.values()) == {-1, 0, 10 * 1024 * 1024}


def test_the_result_of_a_module_does_not_name_tables() -> None:
    assert Lint("m.sql:1:1", "renaming-table", "no", ('"t"',), "nobody reads").result("1_a") == {
        "migration": "1_a", "place": "m.sql:1:1", "rule": "renaming-table", "message": "no", "waiver": "nobody reads",
    }  # fmt: skip
