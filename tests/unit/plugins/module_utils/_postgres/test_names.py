# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of a database's copies."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import AGAIN, SCRATCH, copies, derived_name
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(min_size=1), st.sampled_from(["_scratch", "_before_restore_20250806_093012_345"]))
def test_a_derived_name_fits_and_keeps_its_suffix(database: str, suffix: str) -> None:
    name = derived_name(database, suffix)
    assert name.endswith(suffix)
    assert len(name.encode()) <= 63


@pytest.mark.parametrize(
    ("database", "names"),
    [
        ("shop", ("shop_scratch", "shop_scratch_again", "shop_restoring", "shop_replay", "shop_wanted", "shop_drill")),
        (
            "d" * 60,
            (
                "d" * 55 + "_scratch",
                "d" * 55 + "_s_again",
                "d" * 53 + "_restoring",
                "d" * 56 + "_replay",
                "d" * 56 + "_wanted",
                "d" * 57 + "_drill",
            ),
        ),
    ],
)
def test_copies_have_the_names_that_are_made(database: str, names: tuple[str, ...]) -> None:
    assert copies(database) == names
    assert names[1] == derived_name(derived_name(database, SCRATCH), AGAIN)  # as module restore_test makes it
