# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._schema.tables import Table
from ansible_collections.slipway.deploy.plugins.module_utils._seed import decision
from ansible_collections.slipway.deploy.plugins.module_utils._seed.decision import NEW, Decision, digest


def table(name: str, rows: int) -> Table:
    return Table("public", name, rows, True, 0)


EMPTY = [table("a", 0), table("b", 0)]
REFERENCE = [table("a", 0), table("role", 2)]
SEEDED = [table("a", 5), table("role", 2)]
MANY = [table(f"t{number}", number) for number in range(8)]
HIDDEN = Table("public", "h", None, False, 8192, "row-level security hides rows of it from role o")
UNKNOWN = (
    "whether it is empty can't be told of table public.h, since row-level security hides rows of it from role o: give "
    "the administrating role BYPASSRLS"
)
MIGRATIONS = "its rows are those that its migrations wrote"


@pytest.mark.parametrize(
    ("tables", "mark", "expected"),
    [
        ([], "", Decision(True, "no table holds a row")),
        (EMPTY, "", Decision(True, "no table holds a row")),
        (EMPTY, NEW, Decision(True, "no table holds a row")),
        (REFERENCE, NEW, Decision(True, MIGRATIONS)),
        (REFERENCE, digest(REFERENCE), Decision(True, MIGRATIONS)),  # a command that was cut off wrote nothing
        (REFERENCE, "", Decision(False, "these tables hold rows: public.role (2)")),
        (
            SEEDED,
            digest(REFERENCE),
            Decision(
                False, "an earlier run has seeded it: these tables hold rows: public.a (5), public.role (2)", True
            ),
        ),
        ([*EMPTY, HIDDEN], "", Decision(False, UNKNOWN)),
        ([*EMPTY, HIDDEN], NEW, Decision(True, MIGRATIONS)),
        (
            [*EMPTY, HIDDEN],
            digest([*EMPTY, HIDDEN]),
            Decision(False, UNKNOWN),
        ),  # the command may have written it
        ([*REFERENCE, HIDDEN], "", Decision(False, "these tables hold rows: public.role (2)")),
        (
            MANY,
            "",
            Decision(
                False,
                "these tables hold rows: public.t1 (1), public.t2 (2), public.t3 (3), public.t4 (4), public.t5 (5) and "
                "2 more",
            ),
        ),
    ],
)
def test_decide(tables: list[Table], mark: str, expected: Decision) -> None:
    assert decision.decide(tables, mark) == expected


def test_a_table_that_comes_or_goes_empty_is_no_other_number_of_rows() -> None:
    assert digest(REFERENCE) == digest([*REFERENCE[1:], table("c", 0)]) != digest(SEEDED)


@pytest.mark.parametrize(
    ("comment", "oid", "mark", "expected"),
    [
        ("", 5, NEW, "slipway.seed=5:new"),
        ("mine\nslipway.environment=test", 5, NEW, "mine\nslipway.environment=test\nslipway.seed=5:new"),
        ("slipway.seed=5:new\nmine", 5, "ab12", "mine\nslipway.seed=5:ab12"),
        ("slipway.seed=5:new\nmine", 5, "", "mine"),
    ],
)
def test_the_mark(comment: str, oid: int, mark: str, expected: str) -> None:
    assert decision.set_mark(comment, oid, mark) == expected
    assert decision.find_mark(expected, oid) == mark
    assert decision.find_mark(expected, oid + 1) == ""
