# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import SequenceValue
from ansible_collections.slipway.deploy.plugins.module_utils._backup.proof import (
    content_differences,
    kind_differences,
    object_differences,
    otherwise,
    restored_differences,
    row_differences,
    same_words,
    schema_differences,
    sequence_differences,
)
from support.manifest import OBJECTS, READING, manifest


def test_row_differences() -> None:
    assert row_differences({"t": 1}, {"t": 1}) == []
    assert row_differences({"a": 1000, "b": 1}, {"a": 999, "c": 2}) == [
        "a has 999 rows instead of 1,000 rows",
        "b has no such table instead of 1 rows",
        "c has 2 rows instead of no such table",
    ]


@pytest.mark.parametrize(
    ("before", "found", "stored", "generated"),
    [
        (("1", "2"), ("1", "2"), [], []),
        (("1", "2"), ("9", "2"), ["t holds other values"], []),
        (("1", "2"), ("9", "9"), ["t holds other values"], []),
        (("1", "2"), ("1", "9"), [], ["the generated columns of t are computed otherwise"]),
        (("", ""), ("1", "9"), [], []),  # of a large database there are none
    ],
)
def test_content_differences(
    before: tuple[str, str], found: tuple[str, str], stored: list[str], generated: list[str]
) -> None:
    assert content_differences({"t": before, "gone": ("1", "")}, {"t": found, "new": ("1", "")}) == (stored, generated)


@pytest.mark.parametrize(
    ("before", "after", "found", "differences"),
    [
        ((1, False), (1, False), (1, False), []),
        ((1, False), (1, False), (1, True), ["sequence s stands at 1 instead of 1"]),
        ((5, True), (5, True), (6, True), ["sequence s stands at 6 instead of 5"]),
        ((5, True), (9, True), (7, True), []),
        ((5, True), (9, True), (4, True), ["sequence s stands at 4 instead of 5 to 9"]),
        ((-5, True), (-9, True), (-7, True), []),
        ((1, False), (3, True), (1, True), []),
    ],
)
def test_sequence_differences(
    before: tuple[int, bool], after: tuple[int, bool], found: tuple[int, bool], differences: list[str]
) -> None:
    values = [{"s": SequenceValue(*value)} for value in (before, after, found)]
    assert sequence_differences(*values) == differences


def test_sequences_that_come_and_go() -> None:
    one = {"s": SequenceValue(1, True)}
    assert sequence_differences(one, one, {}) == ["sequence s is missing"]
    assert sequence_differences({}, {}, one) == ["sequence s is not in the source"]


def test_object_and_kind_differences() -> None:
    expected = {("view", "v"): "SELECT 1", ("index", "i"): "", ("table", "t"): "r"}
    found = {("view", "v"): "SELECT 2", ("table", "t"): "(r)", ("table", "u"): "r"}
    assert object_differences(expected, found) == [
        "index i is missing",
        "table u is not in the source",
        "view v is defined otherwise: 'SELECT 1' in the source, 'SELECT 2' in the copy",
    ]
    assert kind_differences({"index": 1}, {"index": 2, "view": 1}) == [
        "2 of kind index instead of 1",
        "1 of kind view instead of 0",
    ]


@pytest.mark.parametrize(
    ("expected", "found", "shown"),
    [
        ("int t", "int f", "'int t' in the source, 'int f' in the copy"),
        ("x" * 200 + "a", "x" * 200 + "b", f"'…{'x' * 40}a' in the source, '…{'x' * 40}b' in the copy"),
        ("a" + "x" * 200, "b\n", f"'a{'x' * 119}…' in the source, 'b' in the copy"),
    ],
)
def test_two_definitions_side_by_side(expected: str, found: str, shown: str) -> None:
    assert otherwise(expected, found) == shown


def test_restored_differences() -> None:
    assert restored_differences(manifest(), READING) == []
    assert restored_differences(manifest(rows=4, tables={"public.t": 4}), READING) == [
        "public.t has 3 rows instead of 4 rows"
    ]


def test_schema_differences() -> None:
    assert schema_differences(manifest(), READING) == []
    fewer = dataclasses.replace(READING, objects={("owner of", "public.t"): "owner"})
    assert schema_differences(manifest(), fewer) == ["0 of kind table instead of 1"]
    changed = dataclasses.replace(READING, objects={**OBJECTS, ("owner of", "public.t"): "other"})
    assert schema_differences(manifest(), changed) == ["an object of the schema is defined otherwise"]
    elsewhere = dataclasses.replace(changed, query="another server's")
    assert (same_words(manifest(), changed), same_words(manifest(), elsewhere)) == (True, False)
    assert schema_differences(manifest(), elsewhere) == []
    assert schema_differences(manifest(schema_digest="2:x"), changed) == []  # of a Slipway with other words


def test_what_only_the_server_has_is_no_part_of_a_schema() -> None:
    other = {("table", "public.t"): "", ("owner of", "public.t"): "owner"}
    assert schema_differences(manifest(), dataclasses.replace(READING, objects=other)) == []
    assert READING.kinds == {"owner of": 1, "table": 1}


def test_what_has_no_expression_is_compared_to_the_last_character() -> None:
    assert object_differences({("server", "s"): "OPTIONS host=::1"}, {("server", "s"): "OPTIONS host=::2"}) == [
        "server s is defined otherwise: 'OPTIONS host=::1' in the source, 'OPTIONS host=::2' in the copy"
    ]
    assert object_differences({("comment", "table t"): "(a)"}, {("comment", "table t"): "a"}) != []
