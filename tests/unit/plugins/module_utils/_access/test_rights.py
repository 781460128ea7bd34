# SPDX-License-Identifier: GPL-3.0-or-later
"""How names get into SQL, and whose database it is. What the catalogue says is tested against a server."""

from __future__ import annotations

from typing import Any

import pglast
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import check_stamp
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal, quote
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=15)  # a name has 63 bytes


@given(TEXT, TEXT)
def test_names_and_texts_are_read_back_as_they_are(name: str, text: str) -> None:
    [statement] = pglast.parse_sql(f"SELECT {literal(text)} AS {quote(name)}")
    tree: Any = statement.stmt
    [target] = tree.targetList
    assert (target.name, target.val.val.sval) == (name, text)


@pytest.mark.parametrize("found", ["", "test"])
def test_own_database(found: str) -> None:
    check_stamp(found, "test", "autotest")


def test_another_environments_database() -> None:
    with pytest.raises(SlipwayError) as caught:
        check_stamp("prod", "test", "autotest")
    assert str(caught.value) == (
        "Database 'autotest' belongs to environment 'prod' but this inventory is 'test': nothing was changed; use the "
        "right inventory, or the right server in this one."
    )
