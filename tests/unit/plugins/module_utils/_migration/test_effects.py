# SPDX-License-Identifier: GPL-3.0-or-later
"""What was lost between two readings of a copy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.effects import Rows, Values, effects

C = Values("c", 10, 1, 9)
T = Rows("public.t", "p", 10, {"1": C})
LARGE = Rows("public.l", "p", None, {"1": Values("c")}, deleted=5, updated=7)


def with_(column: Values, **more: object) -> Rows:
    return replace(T, columns={"1": column}, **more)  # type: ignore[arg-type]  # a table


EFFECTS = [
    (T, T, []),
    (T, replace(T, rows=12), []),
    (T, replace(T, name="public.renamed"), []),
    (T, None, ["loses the table public.t with 10 rows"]),
    (replace(T, rows=0), None, []),
    (LARGE, None, ["loses the table public.l"]),
    (T, replace(T, rows=9), ["loses 1 of 10 rows of the table public.t"]),
    (T, replace(T, rows=0), ["loses 10 of 10 rows of the table public.t"]),
    (T, replace(T, columns={}), ["loses the column c of the table public.t, which held a value in 10 rows"]),
    (with_(Values("c", 0)), replace(T, columns={}), []),
    (T, with_(Values("d", 10, 1, 9)), []),  # renamed
    (T, with_(Values("c", 4, 1, 9)), ["loses the values of the column c in 6 rows of the table public.t"]),
    (T, with_(Values("c", 10, 3, 3)), ["gives the column c one value in all rows of the table public.t"]),
    (with_(Values("c", 10, 3, 3)), with_(Values("c", 10, 4, 4)), []),
    (with_(Values("c", 0)), with_(Values("c", 10, 4, 4)), []),  # filled for the first time
    (T, with_(Values("c", 10, 2, 8)), []),
    (T, replace(T, persistence="u"), ["makes the table public.t UNLOGGED, so that a crash of the server empties it"]),
    (LARGE, replace(LARGE, deleted=8), ["deletes 3 rows of the table public.l"]),
    (LARGE, replace(LARGE, updated=1007), ["changes 1,000 rows of the table public.l"]),
]


@pytest.mark.parametrize(("before", "after", "expected"), EFFECTS)
def test_effects(before: Rows, after: Rows | None, expected: list[str]) -> None:
    assert effects({1: before}, {1: after} if after else {}) == expected


def test_a_table_that_was_made_anew_counts_by_its_name() -> None:
    anew = replace(T, columns={"7": replace(C, name="d"), "8": C})
    assert effects({1: T}, {2: anew}) == []
    assert effects({1: T}, {2: replace(anew, rows=3)}) == ["loses 7 of 10 rows of the table public.t"]
    assert effects({1: T}, {2: replace(T, columns={})}) == [
        "loses the column c of the table public.t, which held a value in 10 rows"
    ]
