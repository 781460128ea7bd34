# SPDX-License-Identifier: GPL-3.0-or-later
"""Correcting the history: the rows are Prisma's, nothing else is touched, and a second time changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from conftest import Postgres
from support.migrations import Bed

APPLIED = (True, False, 0, True)
ROLLED_BACK = (False, True, 0, True)


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    bed = Bed(postgres, postgres.database(), tmp_path)
    bed.write("1_a", "CREATE TABLE a ()")
    bed.write("2_b", "CREATE TABLE b ()")
    return bed


def fail(bed: Bed) -> None:
    """Leave 1_a as Prisma leaves a failed migration."""
    bed.migrate()
    bed.sql(
        "UPDATE _prisma_migrations SET finished_at = NULL, applied_steps_count = 0, logs = 'boom'"
        " WHERE migration_name = '1_a'"
    )


def states(bed: Bed) -> list[tuple[object, ...]]:
    return [(row[0], *row[2:]) for row in bed.rows()]


def refused(bed: Bed, state: str, *names: str) -> str:
    with pytest.raises(SlipwayError) as caught:
        bed.resolve(state, *names)
    return str(caught.value)


def test_a_baseline(bed: Bed) -> None:
    bed.sql("CREATE TABLE a ()")
    assert bed.survey().status == "unmanaged"
    assert bed.resolve("applied", "1_a", check=True) == ["Marked 1_a as applied."]
    assert bed.survey().status == "unmanaged"
    assert bed.resolve("applied", "1_a") == ["Marked 1_a as applied."]
    assert bed.sql("SELECT logs, finished_at = started_at FROM _prisma_migrations") == [("", True)]
    assert states(bed) == [("1_a", *APPLIED)]
    assert bed.resolve("applied", "1_a") == bed.resolve("applied", "1_a", check=True) == []
    assert [each["name"] for each in bed.migrate()["applied_now"]] == ["2_b"]


def test_a_failed_one_is_applied(bed: Bed) -> None:
    fail(bed)
    assert len(bed.resolve("applied", "1_a")) == 2
    assert sorted(states(bed)) == [("1_a", *ROLLED_BACK), ("1_a", *APPLIED), ("2_b", True, False, 1, False)]
    assert bed.survey().status == "up_to_date"


def test_a_failed_one_is_rolled_back_and_tried_again(bed: Bed) -> None:
    fail(bed)
    bed.sql("DROP TABLE a")
    assert bed.resolve("rolled_back", "1_a") == ["Marked the failed attempt of 1_a as rolled back."]
    assert bed.resolve("rolled_back", "1_a") == []
    assert bed.survey().result()["out_of_order"] == ["1_a"]
    assert bed.migrate()["status"] == "up_to_date"
    assert bed.tables() == ["a", "b"]


def test_a_repair_keeps_its_reason(bed: Bed) -> None:
    bed.migrate()
    bed.write("1_a", "CREATE TABLE a () -- now with a comment")
    assert bed.resolve("repaired", "1_a", reason="a comment") == ["Recorded the checksum of 1_a anew."]
    assert bed.resolve("repaired", "1_a", reason="again") == []
    assert bed.survey().status == "up_to_date"
    found = bed.sql("SELECT migration, decision, reason, author FROM slipway.migration_decisions")
    assert found == [("1_a", "repaired", "a comment", "tester")]
    assert bed.tables() == ["a", "b"]


def test_what_is_refused(bed: Bed) -> None:
    assert refused(bed, "applied", "9_x").startswith("There is no file for the migration '9_x'")
    assert refused(bed, "rolled_back", "1_a").startswith("The migration '1_a' has no row in the history")
    assert refused(bed, "repaired", "1_a").startswith("The migration '1_a' is not applied")
    bed.migrate()
    assert refused(bed, "rolled_back", "1_a").startswith("The migration '1_a' is applied, not failed")
    bed.write("3_c", "")
    assert refused(bed, "applied", "3_c", "9_x").startswith("There is no file")
    assert len(bed.rows()) == 2
