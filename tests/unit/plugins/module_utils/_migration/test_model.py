# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums, order, places in a text, and the journey of the files to the host."""

from __future__ import annotations

import hashlib
from itertools import product

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import (
    Migration,
    Payload,
    Script,
    Statement,
    checksums,
    excerpt,
    locate,
    sort_key,
    whitespace_variants,
)
from hypothesis import given
from hypothesis import strategies as st


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def windows(text: str) -> str:
    return unix(text).replace("\n", "\r\n")


@given(st.text())
def test_the_first_checksum_is_that_of_the_text(text: str) -> None:
    text = text.encode(errors="replace").decode()
    assert checksums(text)[0] == sha256(text)
    assert len(set(checksums(text))) == len(checksums(text)) <= 3


SHORT = st.text(alphabet="a \r\n", max_size=5)


@given(SHORT, SHORT)
def test_line_endings_are_no_edit_and_all_else_is(applied: str, text: str) -> None:
    assert (sha256(applied) in checksums(text)) == (applied in (text, unix(text), windows(text)))
    plain = text.replace("\r", "")
    assert sha256(plain) in checksums(windows(plain))
    assert sha256(windows(plain)) in checksums(plain)


TEXT = "CREATE TABLE a (\n  id int\n);\n"
EDITS = [
    # what was applied, what the file is now, whether it is known to differ in white space only
    (TEXT, TEXT.rstrip("\n"), True),
    (TEXT, TEXT + "\n \n", True),
    (TEXT, TEXT.replace("\n", " \t\n"), True),
    (TEXT, TEXT.replace("\n", " \r\n"), True),
    (TEXT, "\n\n" + TEXT, True),
    (TEXT.rstrip("\n"), TEXT, True),
    (TEXT + "\n", TEXT, True),
    (windows(TEXT), TEXT.rstrip("\n"), True),
    # Of what was applied only the checksum is left: what was removed, or stood within the text, can't be guessed.
    (TEXT.replace("(\n", "(  \n"), TEXT, False),
    (TEXT + "\n\n\n", TEXT, False),
    (TEXT, TEXT.replace("  id", "    id"), False),
    (TEXT, TEXT.replace("(\n", "(\n\n"), False),
    (TEXT, TEXT.replace("id", "ID"), False),
]


@pytest.mark.parametrize(("applied", "text", "known"), EDITS)
def test_which_edits_are_known_to_be_white_space(applied: str, text: str, known: bool) -> None:
    assert sha256(applied) not in checksums(text)
    assert (sha256(applied) in whitespace_variants(text)) == known


def test_an_edit_of_more_than_white_space_is_never_called_one() -> None:
    texts = ["".join(letters) for length in range(5) for letters in product("a \n", repeat=length)]
    by_sum = {sha256(text): text for text in texts}
    for text in texts:
        for known in whitespace_variants(text) & by_sum.keys():
            assert by_sum[known].split() == text.split()


ORDERS = [
    ["20250101_a", "20250101_b", "20250102_a"],
    ["1_a", "1-a", "1a"],
    ["_x", "-x", ".x", "0", "9", "a", "A", "b", "B"],
    ["1_add", "1_add_b", "1_adda"],
    ["e", "é", "f"],
]


@pytest.mark.parametrize("names", ORDERS)
def test_order(names: list[str]) -> None:
    assert sorted({*names}, key=sort_key) == names


PLACES = [("", 0, (1, 1)), ("abc", 2, (1, 3)), ("a\nb", 1, (1, 2)), ("a\nb", 2, (2, 1)), ("a\n\n🙂b", 4, (3, 2))]


@pytest.mark.parametrize(("text", "offset", "expected"), PLACES)
def test_locate(text: str, offset: int, expected: tuple[int, int]) -> None:
    assert locate(text, offset) == expected


def test_excerpt() -> None:
    assert excerpt("a\n\tbcd\r\ne", 4) == "2 | \tbcd\n  | \t ^"
    assert excerpt("", 0) == "1 | \n  | ^"
    line, caret = excerpt("x" * 500 + "Y" + "z" * 500, 500).split("\n")
    assert line[caret.index("^")] == "Y"
    assert len(line) == 104


def test_payload_comes_back_as_it_went() -> None:
    migration = Migration("1_é", ("aa", "bb"), "a problem")
    script = Script("m/1_é/migration.sql", "SELECT '🙂'; VACUUM", (Statement(0, 10), Statement(12, 18, "alone")))
    arrived = Payload.load(Payload.pack([migration], {"1_é": script}).dump())
    assert arrived.migrations == (migration,)
    assert arrived.scripts == {"1_é": script}
    assert script.sql(script.statements[1]) == "VACUUM"
