# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan, row state by row state, as Prisma reads them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import chain
from random import Random

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import History, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import (
    Migration,
    Payload,
    Script,
    Statement,
    checksums,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.plan import Plan, make_plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Finding, Policy
from ansible_collections.slipway.deploy.plugins.module_utils._migration.progress import Progress
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
    ([A], [row("1_a", **ROLLED_BACK), row("1_a", **BEGUN_BY_SLIPWAY)], 0, "pending", NONE, ["1_a"]),
    ([A], [row("1_a", **FINISHED), row("1_a", **BEGUN_BY_SLIPWAY)], 0, "failed", ["1_a"], NONE),
    ([A], [row("1_a", **BEGUN_BY_SLIPWAY), row("1_a", **BEGUN_BY_SLIPWAY)], 0, "failed", NONE, NONE),
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
    found = plan(
        [A, B, C],
        [
            row("2_b", checksum="x", **FINISHED),
            row("0_z", **FINISHED),
            row("3_c", **ROLLED_BACK),
            row("9_x", **ROLLED_BACK),
        ],
    )
    assert found.result() == {
        "status": "edited",
        "applied": ["0_z", "2_b"],
        "pending": ["1_a", "3_c"],
        "edited": ["2_b"],
        "missing": ["0_z"],
        "failed": [],
        "rolled_back": ["3_c"],
        "half_applied": [],
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
        "control and put the change into a new migration; when it was edited upstream and the database need not "
        "change, record it anew: resolve with state=repaired (slipway.deploy.migration_resolve).",
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
        "The migration '1_a' was started at 2025-01-01 12:00:00+00:00 and never finished; its changes may be "
        "there in part: ERROR: boom. Look at the database, then use slipway.deploy.migration_resolve: state applied "
        "when all of them are there, rolled_back when you have undone them.",
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


# Any files and any history: names that only one of them knows, several rows for a name, other checksums, lost files.
STATES_OF_ROWS = [
    FINISHED, RESOLVED_AS_APPLIED, FAILED, KILLED, ROLLED_BACK, ROLLED_BACK_AFTER_FINISHING, BEGUN_BY_SLIPWAY,
]  # fmt: skip
NAMES = "abcd"
SPACED = Script("m", "SELECT 1", (Statement(0, 8),))
SUMS = (*checksums(SPACED.text), "other sum")


@st.composite
def some_files(draw: st.DrawFn, sums: Sequence[tuple[str, ...]] = (SUMS, SUMS, ())) -> list[Migration]:
    names = sorted(draw(st.sets(st.sampled_from(NAMES))))
    return [Migration(name, draw(st.sampled_from(sums))) for name in names]


@st.composite
def some_rows(draw: st.DrawFn) -> list[Row]:
    sums = st.sampled_from([*SUMS, checksums(SPACED.text + "\n")[0], "an edited one"])
    states = st.tuples(st.sampled_from(NAMES), sums, st.sampled_from(STATES_OF_ROWS))
    return [row(name, checksum, **state) for name, checksum, state in draw(st.lists(states, max_size=10))]


def plan_any(files: Sequence[Migration], rows: Sequence[Row]) -> Plan:
    scripts = {each.name: SPACED for each in files if each.checksums}
    return make_plan("m", Payload.pack(files, scripts), History(tuple(rows)))


@given(some_files(), some_rows())
def test_every_name_is_in_exactly_one_place(files: list[Migration], rows: list[Row]) -> None:
    found = plan_any(files, rows)
    names = {each.name for each in files}
    live = {each.name for each in rows if not each.rolled_back_at}
    failed = {each.name for each in found.failed}
    places = [
        {each.name for each in found.pending},
        failed - {*found.applied},
        {each.name for each in found.edited},
        {each.name for each in found.edited_whitespace},
        {each.name for each in found.missing},
    ]
    as_they_were = {*found.applied} - {*chain(*places)}
    places.append(as_they_were)
    assert sorted(chain(*places)) == sorted(names | live)
    assert places[0] >= {*found.half_applied, *found.rolled_back, *found.out_of_order}
    assert as_they_were <= names
    assert {*found.applied} >= {*chain(*places[2:])}


@given(some_files(), some_rows())
def test_no_row_is_lost(files: list[Migration], rows: list[Row]) -> None:
    found = plan_any(files, rows)
    live = {each.name for each in rows if not each.rolled_back_at} - {*found.half_applied}
    for each in rows:
        if each.rolled_back_at:
            told = each.name in found.rolled_back
            assert told == (each.name not in live and each.name in {file.name for file in files})
        elif each.finished_at:
            assert each.name in found.applied
        else:
            assert each in found.failed or found.half_applied[each.name][0] is each


@given(some_files(), some_rows(), st.randoms(use_true_random=False))
def test_what_is_pending_is_prismas_to_the_name(files: list[Migration], rows: list[Row], chance: Random) -> None:
    found = plan_any(files, rows)
    live = {each.name for each in rows if not each.rolled_back_at} - {*found.half_applied}
    assert [each.name for each in found.pending] == sorted({each.name for each in files} - live)
    assert plan_any(files, chance.sample(rows, len(rows))).pending == found.pending


@given(some_files(), some_rows())
def test_up_to_date_is_what_both_tools_can_go_on_from(files: list[Migration], rows: list[Row]) -> None:
    """No row that stops Prisma, nothing pending, each file as it was applied."""
    found = plan_any(files, rows)
    if found.status == "up_to_date":
        assert not any(each.failed for each in rows)
        assert not any(each.problem for each in found.findings)
        finished = {each.name: each.checksum for each in rows if each.finished_at and not each.rolled_back_at}
        assert finished.keys() == {each.name for each in files}
        assert {*finished.values()} <= {*SUMS}


@given(some_files([SUMS]), some_rows())
def test_after_applying_nothing_is_pending_and_the_findings_stay(files: list[Migration], rows: list[Row]) -> None:
    before = plan_any(files, rows)
    resumed = [each for each, _ in before.half_applied.values()]
    rest = [each for each in rows if not any(each is other for other in resumed)]
    after = plan_any(files, [*rest, *(row(each.name, SUMS[0], **FINISHED) for each in before.pending)])
    assert after.pending == after.rolled_back == after.out_of_order == ()
    assert {*after.applied} == {*before.applied, *(each.name for each in before.pending)}
    assert after.findings == [each for each in before.findings if each.rule != "out_of_order"]
