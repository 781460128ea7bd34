# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a change before it is applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.remarks import losses, remarks
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Key, Schema
from unit.plugins.module_utils._wanted.test_statements import column


def schema(**columns: Mapping[str, Any]) -> Schema:
    """Tables by the columns that they have, as ``table__column``."""
    parts: dict[Key, Mapping[str, Any]] = {}
    for name, made in columns.items():
        table, own = name.split("__")
        parts["table", f"public.{table}"] = {}
        given = {"inherited": False, **column(table=f"public.{table}", column=own), **made}
        parts["column", f"public.{table}.{own}"] = given
    return Schema({}, parts, {})


INT: dict[str, Any] = {}
TEXT: dict[str, Any] = {"type": "text", "base": "text"}


@pytest.mark.parametrize(
    ("before", "after", "lost", "said"),
    [
        (schema(t__a=INT), schema(t__a=INT), [], []),
        (schema(t__a=INT), schema(t__a=INT, t__b=INT), [], []),
        (schema(t__a=INT, u__a=INT), schema(t__a=INT), ["drops the table public.u"],
         ["This drops the table public.u: its data is lost."]),
        (schema(t__a=INT, t__b=INT), schema(t__a=INT), ["drops the column public.t.b"],
         ["This drops the column public.t.b: its data is lost."]),
        (schema(t__a=INT), schema(t__b=INT), ["drops the column public.t.a"],
         ["The column public.t.a goes and b comes, both integer: if it is renamed, write instead ALTER TABLE public.t "
          "RENAME "
          "COLUMN a TO b.", "This drops the column public.t.a: its data is lost."]),
        (schema(t__a=INT), schema(t__b=TEXT), ["drops the column public.t.a"],
         ["This drops the column public.t.a: its data is lost."]),
        (schema(t__a=INT, t__b=TEXT), schema(u__a=INT, u__b=TEXT, u__c=INT), ["drops the table public.t"],
         ["The table public.t goes and public.u comes, with much the same columns: if it is renamed, write instead "
          "ALTER TABLE "
          "public.t RENAME TO u.", "This drops the table public.t: its data is lost."]),
        (schema(t__a=INT), schema(t__a=INT, t__b={"notnull": True}), [],
         ["The column public.t.b is NOT NULL without a default, which fails where its table has rows: give it a "
          "default, or "
          "add it without NOT NULL, fill it, and then set NOT NULL."]),
        (schema(t__a=INT), schema(t__a=INT, t__b={"notnull": True, "default": "1"}), [], []),
        (schema(t__a=INT), schema(t__a={"notnull": True}), [],
         ["The column public.t.a becomes NOT NULL, which fails where a row has no value: fill such rows first."]),
        (schema(t__a=INT), schema(t__a={"type": "bigint", "base": "bigint"}), [], []),
        (schema(t__a=INT), schema(t__a=TEXT), [], []),
        (schema(t__a=TEXT), schema(t__a=INT), ["casts the column public.t.a from text to integer"],
         ["The column public.t.a changes from text to integer: every row is cast, which fails where a value does not "
          "fit and "
          "may lose a part of it: say by USING how it is to be converted."]),
        (schema(t__a=INT), schema(t__a={"generated": "s"}),
         ["replaces the values of the column public.t.a by generated ones"], []),
    ],
)  # fmt: skip
def test_what_is_lost_and_said(before: Schema, after: Schema, lost: list[str], said: list[str]) -> None:
    assert [each.what for each in losses(before, after)] == lost
    assert remarks(before, after) == said


@pytest.mark.parametrize(
    ("type_", "why"),
    [("u", "two rows share a value"), ("c", "a row does not meet it"), ("f", "a row refers to what is not there")],
)
def test_a_new_constraint_on_a_table_that_is_there_may_fail(type_: str, why: str) -> None:
    made = {("constraint", "public.t.k"): {"table": "public.t", "type": type_}}
    before, after = schema(t__a=INT), schema(t__a=INT)
    assert remarks(before, Schema({}, {**after.parts, **made}, {})) == [f"The constraint public.t.k fails where {why}."]
    assert remarks(schema(), Schema({}, {**after.parts, **made}, {})) == []
