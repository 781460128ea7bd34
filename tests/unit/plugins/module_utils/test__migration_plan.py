# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, row state by row state, as Prisma reads them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration import (
    Migration,
    Payload,
    Script,
    Statement,
    checksums,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_destructive import Destruction
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import History, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration_plan import Plan, make_plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration_policy import DEFAULTS, Finding, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration_progress import Progress
from hypothesis import given
from hypothesis import strategies as st

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)
SCRIPT = Script("m/1_a/migration.sql", "SELECT 1; VACUUM", (Statement(0, 8), Statement(10, 16, "alone")))

# The rows of the facts: what an event leaves behind.
FINISHED = {"finished_at": NOON, "steps": 1}
RESOLVED_AS_APPLIED = {"finished_at": NOON, "logs": ""}
FAILED = {"logs": "ERROR: boom"}
KILLED: dict[str, object] = {}
ROLLED_BACK = {"rolled_back_at": NOON, "logs": "ERROR: boom"}
ROLLED_BACK_AFTER_FINISHING = {"finished_at": NOON, "rolled_back_at": NOON, "steps": 1}
BEGUN_BY_SLIPWAY = {"logs": Progress.of(SCRIPT, 1).dump(2)}


def file(name: str, problem: str = "") -> Migration:
    return Migration(name, (f"sum of {name}", f"other sum of {name}"), problem)


def row(name: str, checksum: str | None = None, **state: object) -> Row:
    fields: dict[str, object] = {"finished_at": None, "rolled_back_at": None, "logs": None, "steps": 0, **state}
    return Row(id="x", checksum=checksum or f"sum of {name}", name=name, started_at=NOON, **fields)  # type: ignore[arg-type]


def plan(files: Sequence[Migration], rows: Sequence[Row] | None, other_tables: int = 0) -> Plan:
    return make_plan("m", Payload.pack(files, SCRIPTS), History(None if rows is None else tuple(rows), other_tables))


A, B, C, D = file("1_a"), file("2_b"), file("3_c"), file("4_d")
SCRIPTS = {
    "1_a": SCRIPT,
    "4_d": Script("m/4_d", "", (), (Destruction("m/4_d/migration.sql:1:1", "drops the table t", "table", "t"),)),
}
NONE: list[str] = []

STATES = [
    # files, rows, other tables, status, applied, pending
    ([A], None, 0, "pending", NONE, ["1_a"]),
    ([A], None, 3, "unmanaged", NONE, ["1_a"]),
    ([A], [], 3, "pending", NONE, ["1_a"]),
    ([A], [row("1_a", **FINISHED)], 1, "up_to_date", ["1_a"], NONE),
    ([A], [row("1_a", checksum="other sum of 1_a", **FINISHED)], 0, "up_to_date", ["1_a"], NONE),
    ([A], [row("1_a", **RESOLVED_AS_APPLIED)], 0, "up_to_date", ["1_a"], NONE),
    ([A, B], [row("1_a", **FINISHED)], 0, "pending", ["1_a"], ["2_b"]),
    ([A, B], [row("2_b", **FINISHED)], 0, "pending", ["2_b"], ["1_a"]),
    ([A], [row("1_a", **FAILED)], 0, "failed", NONE, NONE),
    ([A], [row("1_a", **KILLED)], 0, "failed", NONE, NONE),
    ([A, B], [row("1_a", **KILLED)], 0, "failed", NONE, ["2_b"]),
    ([A], [row("1_a", **ROLLED_BACK)], 0, "pending", NONE, ["1_a"]),
    ([A], [row("1_a", **ROLLED_BACK_AFTER_FINISHING)], 0, "pending", NONE, ["1_a"]),
    ([A], [row("1_a", **ROLLED_BACK), row("1_a", **FINISHED)], 0, "up_to_date", ["1_a"], NONE),
    ([A], [row("1_a", **ROLLED_BACK), row("1_a", **RESOLVED_AS_APPLIED)], 0, "up_to_date", ["1_a"], NONE),
    ([A], [row("1_a", **FINISHED), row("1_a", **FAILED)], 0, "failed", ["1_a"], NONE),
    ([A], [row("1_a", **BEGUN_BY_SLIPWAY)], 0, "pending", NONE, ["1_a"]),
    ([B], [row("1_a", **BEGUN_BY_SLIPWAY)], 0, "failed", NONE, ["2_b"]),
    ([A], [row("1_a", checksum="SUM OF 1_A", **FINISHED)], 0, "edited", ["1_a"], NONE),
    ([A], [row("1_a", checksum=" ", **FINISHED)], 0, "edited", ["1_a"], NONE),
    ([A, C], [row("1_a", **FINISHED), row("2_b", **FINISHED)], 0, "missing", ["1_a", "2_b"], ["3_c"]),
    ([A], [row("1_a", **FINISHED), row("2_b", **FINISHED)], 0, "ahead", ["1_a", "2_b"], NONE),
    ([A], [row("1_a", **FINISHED), row("2_b", **ROLLED_BACK)], 0, "up_to_date", ["1_a"], NONE),
    ([Migration("1_a", (), "gone")], [row("1_a", **FINISHED)], 0, "missing", ["1_a"], NONE),
]


@pytest.mark.parametrize(("files", "rows", "other_tables", "status", "applied", "pending"), STATES)
def test_states(
    files: list[Migration],
    rows: list[Row] | None,
    other_tables: int,
    status: str,
    applied: list[str],
    pending: list[str],
) -> None:
    result = plan(files, rows, other_tables).result()
    assert (result["status"], result["applied"], result["pending"]) == (status, applied, pending)


def test_details() -> None:
    found = plan([A, B, C], [row("2_b", checksum="x", **FINISHED), row("0_z", **FINISHED), row("3_c", **ROLLED_BACK)])
    assert found.result() == {
        "status": "edited",
        "applied": ["0_z", "2_b"],
        "pending": ["1_a", "3_c"],
        "edited": ["2_b"],
        "missing": ["0_z"],
        "failed": [],
        "rolled_back": ["3_c"],
        "out_of_order": ["1_a"],
        "edited_whitespace": [],
        "destructive": [],
        "lint": [],
        "applied_now": [],
    }


STOPS = [
    (
        [A],
        [row("1_a", checksum="abc", **FINISHED)],
        0,
        "The migration '1_a' was edited after it was applied (its checksum was abc): restore the file from version "
        "control and put the change into a new migration.",
    ),
    (
        [B],
        [row("1_a", **FINISHED)],
        0,
        "The migration '1_a' was applied at 2025-01-01 12:00:00+00:00 but is not in 'm': restore its directory from "
        "version control, or deploy the release that has it.",
    ),
    (
        [A],
        [row("1_a", **FAILED)],
        0,
        "The migration '1_a' was begun at 2025-01-01 12:00:00+00:00 and never finished; its changes may be there in "
        "part: ERROR: boom. Look at the database, then use slipway.deploy.migration_resolve: state applied when all of "
        "them are there, rolled_back when you have undone them.",
    ),
    (
        [A],
        None,
        2,
        "The database holds 2 tables but no history of migrations: it was not made by these migrations. To take it "
        "over, record those whose changes it already has as applied with slipway.deploy.migration_resolve (state: "
        "applied) and run again.",
    ),
    ([file("1_a", "a problem.")], [], 0, "a problem."),
]


@pytest.mark.parametrize(("files", "rows", "other_tables", "message"), STOPS)
def test_stops(files: list[Migration], rows: list[Row] | None, other_tables: int, message: str) -> None:
    verdict = Policy(DEFAULTS).judge(plan(files, rows, other_tables).findings)
    assert [finding.text for finding in verdict.denied] == [message]


@pytest.mark.parametrize("applied", ["SELECT 1; VACUUM\n", "SELECT 1; VACUUM \r\n", "SELECT 1; VACUUM\n\n"])
def test_an_edit_of_white_space_is_told_apart(applied: str) -> None:
    found = plan([A], [row("1_a", checksum=checksums(applied)[0], **FINISHED)])
    assert (found.status, found.edited) == ("edited_whitespace", ())


def test_destructive_ones_that_are_pending() -> None:
    found = plan([A, D], [row("1_a", **FINISHED)])
    assert found.result()["destructive"] == ["4_d"]
    text = "The migration '4_d' drops the table t (m/4_d/migration.sql:1:1)."
    assert found.findings == [Finding("destructive", "4_d", text)]


STATE = st.sampled_from([FINISHED, RESOLVED_AS_APPLIED, FAILED, KILLED, ROLLED_BACK, ROLLED_BACK_AFTER_FINISHING])
NAMES = st.lists(st.sampled_from("abcdef"), unique=True)


@given(NAMES, st.lists(st.tuples(st.sampled_from("abcdef"), STATE)))
def test_every_file_is_in_exactly_one_place(names: list[str], states: list[tuple[str, dict[str, object]]]) -> None:
    rows = [row(name, **state) for name, state in states]
    found = plan([file(name) for name in sorted(names)], rows)
    live = {each.name for each in rows if each.rolled_back_at is None}
    assert {each.name for each in found.pending} == set(names) - live
    assert {each.name for each in found.failed} | set(found.applied) == live
    assert [each.name for each in found.pending] == sorted(each.name for each in found.pending)
    assert (found.status == "up_to_date") == (not found.failed and not found.missing and not found.pending)
