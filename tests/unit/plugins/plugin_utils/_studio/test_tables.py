# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and keys in addresses. What is read of a database is in test_serve.py of the integration tests."""

from __future__ import annotations

import re
import uuid
from urllib.parse import unquote

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.tables import condition, key_text, slug
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, MetaData, Table, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import registry


class Pair:
    pass


registry().map_imperatively(
    Pair, Table("pair", MetaData(), Column("a b", Integer, primary_key=True), Column("c", Text, primary_key=True))
)


def test_a_slug_is_unique_and_plain() -> None:
    taken: set[str] = set()
    names = [("public", "users"), ("public", "Users"), ("Own Schema", "a/b"), ("public", "own_schema_a_b")]
    assert [slug(*name, taken) for name in names] == ["users", "users_2", "own_schema_a_b", "own_schema_a_b_2"]


@pytest.mark.parametrize(
    ("values", "text"),
    [([5], "5"), ([1, "a;b,c/d"], "1;a~3Bb~2Cc~2Fd"), ([b"\x01"], "~5Cx01"), (["~%"], "~7E~25"), ([""], "")],
)
def test_key_text(values: list[object], text: str) -> None:
    assert key_text(values) == text


@given(st.integers(), st.text())
def test_a_key_comes_back_as_it_was_however_often_it_is_decoded(number: int, text: str) -> None:
    key = key_text([number, text])
    assert re.fullmatch(r"[\w.~;-]*", key, re.ASCII)
    asked = condition(Pair, ["a b", "c"], unquote(unquote(key))).compile(dialect=postgresql.dialect())
    assert list(asked.params.values()) == [str(number), text]
    assert "CAST" not in str(asked)  # the server finds the type, and the index


def test_a_key_of_another_length_is_none() -> None:
    with pytest.raises(ValueError, match="zip"):
        condition(Pair, ["a b", "c"], "1")


def test_a_uuid_is_a_key() -> None:
    key = uuid.UUID(int=1)
    assert key_text([key]) == str(key)
