# SPDX-License-Identifier: GPL-3.0-or-later
"""What a snapshot becomes when migrations are applied: their work enters it, what was done by hand does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Catalogue
from ansible_collections.slipway.deploy.plugins.module_utils._schema.snapshot import Snapshot, renewed

# What was kept, what was there before the migrations and after them, and what is to be kept then.
RENEWED: list[tuple[Catalogue, Catalogue, Catalogue, Catalogue]] = [
    ({}, {}, {"table a": ""}, {"table a": ""}),
    ({"table a": ""}, {"table a": ""}, {}, {}),
    # Changed by hand and left alone by the migrations: added, removed, altered.
    ({}, {"index by hand": "i"}, {"index by hand": "i", "table a": ""}, {"table a": ""}),
    ({"index i": "x"}, {}, {"table a": ""}, {"table a": "", "index i": "x"}),
    ({"column c": "int"}, {"column c": "text"}, {"column c": "text"}, {"column c": "int"}),
    # Changed by hand, and the migrations made it theirs.
    ({"column c": "int"}, {"column c": "text"}, {"column c": "bigint"}, {"column c": "bigint"}),
    ({}, {"index by hand": "i"}, {}, {}),
    ({"index i": "x"}, {}, {"index i": "x"}, {"index i": "x"}),
]


@pytest.mark.parametrize(("kept", "before", "after", "expected"), RENEWED)
def test_what_was_changed_by_hand_stays_drift(
    kept: Catalogue, before: Catalogue, after: Catalogue, expected: Catalogue
) -> None:
    old, new = frozenset({"1_a"}), frozenset({"1_a", "2_b"})
    made = frozenset(
        name for name in ("table a", "index by hand", "index i", "column c") if before.get(name) != after.get(name)
    )
    before_them = Snapshot(old, kept, made=frozenset({"table of old"}))
    result = renewed(before_them, Snapshot(old, before), Snapshot(new, after))
    assert result == Snapshot(new, expected, made=made | {"table of old"})


@pytest.mark.parametrize("kept", [None, Snapshot(frozenset(), {}), Snapshot(frozenset({"1_a"}), {}, "another way")])
def test_without_a_snapshot_of_what_was_applied_before_all_is_kept(kept: Snapshot | None) -> None:
    before, after = (Snapshot(frozenset(names), {"table by hand": ""}) for names in (["1_a"], ["1_a", "2_b"]))
    after = replace(after, catalogue={"table by hand": "", "table b": ""})
    assert renewed(kept, before, after) == replace(after, made=frozenset({"table b"}))
