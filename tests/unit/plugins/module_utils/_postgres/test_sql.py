# SPDX-License-Identifier: GPL-3.0-or-later
"""How names and texts get into SQL."""

from __future__ import annotations

from typing import Any

import pglast
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=15)  # a name has 63 bytes


@given(TEXT, TEXT)
def test_names_and_texts_are_read_back_as_they_are(name: str, text: str) -> None:
    [statement] = pglast.parse_sql(f"SELECT {literal(text)} AS {quote(name)}")
    tree: Any = statement.stmt
    [target] = tree.targetList
    assert (target.name, target.val.val.sval) == (name, text)


def test_a_statement_with_a_secret_is_never_shown() -> None:
    assert SqlAction("DROP ROLE r", "Dropped role r.").shown == "DROP ROLE r;"
    assert SqlAction("ALTER ROLE r PASSWORD 'x'", "Set r's password.", secret=True).shown == "-- Set r's password."
