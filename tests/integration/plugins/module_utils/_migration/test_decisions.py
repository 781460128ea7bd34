# SPDX-License-Identifier: GPL-3.0-or-later
"""A deviation from the rule keeps its reason in the database."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import Waiver
from support.migrations import Bed, denied


def test_a_waiver_lets_one_migration_pass_and_is_recorded(filled: Bed) -> None:
    filled.write("2_d", "DROP TABLE t")
    other = Waiver("3_e", "destructive", "why not", "ada")
    denied(filled, "destructive", other)
    filled.fails()
    denied(filled, "destructive", other, Waiver("2_d", "destructive", "moved to u in May", "ada"))
    assert filled.migrate()["status"] == "up_to_date"
    found = filled.sql("SELECT migration, decision, reason, author, role FROM slipway.migration_decisions")
    assert found == [("2_d", "waived: destructive", "moved to u in May", "ada", "postgres")]
