# SPDX-License-Identifier: GPL-3.0-or-later
"""A deviation from the rule keeps its reason in the database."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.decisions import Decision, write_down
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


def test_a_decision_is_written_down_once(bed: Bed) -> None:
    moved, other = Decision("waived: lint", "moved in May", "ada"), Decision("waived: lint", "moved in May", "bob")
    with contextlib.closing(bed.postgres.connect(bed.database)) as opened, opened.cursor() as cursor:
        for decision in (moved, moved, other):
            write_down(cursor, "1_a", decision)
    found = bed.sql("SELECT migration, decision, reason, author, role FROM slipway.migration_decisions ORDER BY author")
    assert found == [("1_a", "waived: lint", "moved in May", author, "postgres") for author in ("ada", "bob")]


def test_a_role_that_may_not_keep_a_reason_is_told_so(bed: Bed) -> None:
    role = f"{bed.database}_plain"
    bed.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{bed.postgres.password}'")
    with (
        contextlib.closing(bed.postgres.connect(bed.database, role)) as opened,
        opened.cursor() as cursor,
        pytest.raises(SlipwayError) as caught,
    ):
        write_down(cursor, "1_a", Decision("waived: lint", "why not", "ada"))
    assert str(caught.value) == (
        "The role may not keep the reason for '1_a' in slipway.migration_decisions (permission denied for database "
        f"{bed.database}): run as the database's owner, or grant CREATE on the database."
    )
