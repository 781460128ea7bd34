# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source can't say is left as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Key, Schema
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.sources import Source
from unit.plugins.module_utils._wanted.test_statements import column

TABLE: Key = ("table", "public.t")
COLUMN: Key = ("column", "public.t.c")
OTHERS: dict[Key, Mapping[str, Any]] = {
    ("view", "public.v"): {"materialized": False},
    ("function", "public.f()"): {"kind": "f"},
    ("trigger", "public.t.g"): {"table": "public.t"},
    ("policy", "public.t.p"): {"table": "public.t"},
    ("constraint", "public.t.k"): {"table": "public.t", "type": "c", "definition": "CHECK (c > 0)"},
    ("index", "public.i"): {"table": "public.t", "partial": True, "expression": False, "definition": "…"},
    ("index", "public.j"): {"table": "public.t", "partial": False, "expression": False, "definition": "…"},
    ("comment", "table public.t"): {"type": "table", "of": ["table", "public.t"], "text": "…"},
}
ALWAYS = {("view", "public.v"), ("function", "public.f()"), ("trigger", "public.t.g"), ("policy", "public.t.p")}


def schema(parts: Mapping[Key, Mapping[str, Any]]) -> Schema:
    made = dict(parts)
    needs = {key: frozenset({TABLE} & made.keys()) if each.get("table") else frozenset() for key, each in made.items()}
    return Schema({key: str(each) for key, each in made.items()}, made, needs)


PRESENT = schema({TABLE: {}, COLUMN: column(), **OTHERS})
BARE = schema({TABLE: {}, COLUMN: column()})


@pytest.mark.parametrize(
    ("source", "left"),
    [
        (Source("sql"), set()),
        (Source("prisma"), OTHERS.keys() - {("index", "public.j")}),
        (Source("sqlalchemy"), ALWAYS),
        (Source("sqlalchemy", frozenset(["view", "function"])), {("trigger", "public.t.g"), ("policy", "public.t.p")}),
    ],
)
def test_what_it_does_not_name_stays_where_it_can_not(source: Source, left: set[Key]) -> None:
    assert set(source.wish(PRESENT, BARE).parts) - {TABLE, COLUMN} == set(left)


def test_what_lies_on_a_table_goes_with_it() -> None:
    assert set(Source("prisma").wish(PRESENT, schema({})).parts) == {("view", "public.v"), ("function", "public.f()")}


@pytest.mark.parametrize(
    ("source", "here", "there", "same"),
    [
        ("prisma", {"identity": "a"}, {"default": "nextval('s'::regclass)"}, True),
        ("prisma", {"generated": "s", "expression": "1"}, {}, True),
        ("prisma", {"storage": "e"}, {}, True),
        ("prisma", {"default": "1"}, {}, False),
        ("sqlalchemy", {"storage": "e"}, {}, True),
        ("sqlalchemy", {"identity": "a"}, {}, False),
        ("sqlalchemy", {"generated": "s", "expression": "1"}, {}, False),
    ],
)
def test_a_column_is_as_it_was_where_the_source_says_no_else(
    source: str, here: dict[str, Any], there: dict[str, Any], same: bool
) -> None:
    present, wanted = (schema({TABLE: {}, COLUMN: column(**parts)}) for parts in (here, there))
    assert (Source(source).wish(present, wanted) == present) is same


def test_a_changed_column_keeps_what_the_source_does_not_say() -> None:
    present = schema({TABLE: {}, COLUMN: column(storage="e")})
    wanted = schema({TABLE: {}, COLUMN: column(notnull=True)})
    assert Source("sqlalchemy").wish(present, wanted).parts[COLUMN] == column(storage="e", notnull=True)


@pytest.mark.parametrize("source", ["prisma", "sqlalchemy"])
def test_a_column_of_another_type_is_of_another_base(source: str) -> None:
    wanted = schema({TABLE: {}, COLUMN: column(type="text", base="text")})
    made = Source(source).wish(BARE, wanted).parts[COLUMN]
    assert (made["type"], made["base"]) == ("text", "text")


def test_what_is_new_has_its_rights() -> None:
    rights: Key = ("rights on", "public.t for app")
    wanted = Schema({**BARE.texts, rights: "SELECT"}, BARE.parts, BARE.needs)
    assert Source("prisma").wish(schema({}), wanted).texts[rights] == "SELECT"
    held = Schema({**BARE.texts, ("rights on", "public.t for other"): "ALL"}, BARE.parts, BARE.needs)
    assert rights not in Source("prisma").wish(held, wanted).texts
