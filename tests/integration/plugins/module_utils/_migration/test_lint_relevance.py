# SPDX-License-Identifier: GPL-3.0-or-later
"""Which findings of the linter are about this database."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from support.migrations import Bed, denied

LARGE = "CREATE TABLE big AS SELECT n, repeat('x', 100) AS v FROM generate_series(1, 100000) AS n"

LINTED = [
    ("CREATE INDEX i ON big (n)", ["require-concurrent-index-creation"]),
    ("CREATE INDEX i ON t (n)", []),
    ("CREATE TABLE u (n int); CREATE INDEX i ON u (n)", []),
    ("ALTER TABLE public.big ALTER n SET NOT NULL", ["adding-not-nullable-field"]),
    ("ALTER TABLE big RENAME n TO m", ["renaming-column"]),
    ("ALTER TABLE t RENAME n TO m", []),
    ("CREATE INDEX CONCURRENTLY i ON big (n)", []),
]


@pytest.mark.parametrize(("sql", "rules"), LINTED)
def test_lint_knows_which_tables_are_new_or_small(filled: Bed, sql: str, rules: list[str]) -> None:
    filled.sql(LARGE)
    filled.write("2_i", sql)
    assert [found["rule"] for found in filled.survey().result()["lint"]] == rules


def test_lint_is_denied_and_waived_in_the_file(filled: Bed) -> None:
    filled.sql(LARGE)
    denied(filled, "lint")
    filled.write("2_i", "SELECT 1;\n\nCREATE INDEX i ON big (n);")
    assert filled.fails().startswith(
        "migrations/2_i/migration.sql:3:1: During normal index creation, table updates are "
    )
    filled.write("2_i", "SELECT 1;\n-- slipway: allow require-concurrent-index-creation:\nCREATE INDEX i ON big (n);")
    filled.fails()
    reason = "it is night and nobody writes"
    filled.write(
        "2_i", f"SELECT 1;\n-- slipway: allow require-concurrent-index-creation: {reason}\nCREATE INDEX i ON big (n)"
    )
    (found,) = filled.survey().result()["lint"]
    assert (found["migration"], found["waiver"]) == ("2_i", reason)
    assert filled.migrate()["status"] == "up_to_date"


def test_style_stops_only_what_is_new(bed: Bed) -> None:
    bed.policy = Policy({**DEFAULTS, "lint": "deny"})
    bed.write("1_a", f"CREATE TABLE a (x char(3), {'y' * 64} int);")
    outcome = bed.outcome(bed.files())
    assert [warning.rsplit(" ", 1)[1] for warning in outcome.warnings] == ["(ban-char-field)", "(identifier-too-long)"]
    bed.write("2_b", "CREATE TABLE b (x char(3));")
    assert bed.fails().splitlines()[0].endswith("(ban-char-field)")
