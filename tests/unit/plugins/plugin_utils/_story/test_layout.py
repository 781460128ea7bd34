# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in the columns of a terminal."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._story.layout import (
    compact,
    headed,
    paragraph,
    plain,
    summary,
    wrapped,
)
from hypothesis import given
from hypothesis import strategies as st

SENTENCE = (
    "The migration '20260102_add_budget' failed at /srv/shop/migrations/20260102_add_budget/migration.sql:2:18 "
    'in its rehearsal on the restored copy, so nothing was applied: column "budgte" of relation "teams" does not exist '
    "(SQLSTATE 42703); correct the file and deploy again, or remove the migration's directory."
)


def test_a_long_sentence_is_wrapped_between_words() -> None:
    assert len(SENTENCE) > 300
    assert wrapped(SENTENCE, 80, 4) == [
        "    The migration '20260102_add_budget' failed at",
        "    /srv/shop/migrations/20260102_add_budget/migration.sql:2:18 in its rehearsal",
        '    on the restored copy, so nothing was applied: column "budgte" of relation',
        '    "teams" does not exist (SQLSTATE 42703); correct the file and deploy again,',
        "    or remove the migration's directory.",
    ]
    assert wrapped(SENTENCE, None, 4) == [f"    {SENTENCE}"]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        pytest.param("", 40, [], id="nothing"),
        pytest.param("one\n\ntwo", 40, ["one", "", "two"], id="a paragraph ends"),
        pytest.param("short", 3, ["short"], id="a word that is longer than the line stays whole"),
        pytest.param(
            "  migrations 20250101_a, 20250102_b, 20250103_c", 40,
            ["  migrations 20250101_a, 20250102_b,", "  20250103_c"], id="one blank is no column",
        ),
        pytest.param(
            "  applied      20250101_a, 20250102_b, 20250103_c", 40,
            ["  applied      20250101_a, 20250102_b,", "               20250103_c"], id="goes on in its column",
        ),
        pytest.param("- one two three four", 12, ["- one two", "  three four"], id="a list"),
        pytest.param(
            "1 | SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;\n  |" + " " * 38 + "^", 30,
            ["1 |  4, 5, 6, 7, 8, 9, 10, 11;", "  |                       ^"], id="an excerpt keeps its caret",
        ),
        pytest.param("1 | SELECT x;\n  |        ^", 30, ["1 | SELECT x;", "  |        ^"], id="a short excerpt"),
        pytest.param("12 | no caret, and longer than this", 20, ["12 | no caret, and l"], id="no caret"),
    ],
)  # fmt: skip
def test_wrapping(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines
    assert wrapped(text, None) == text.splitlines()


@given(st.text(alphabet="ab |^\t\n-1", max_size=80), st.integers(20, 60), st.integers(0, 8))
def test_no_line_is_longer_than_the_terminal_and_no_word_is_lost(text: str, width: int, indent: int) -> None:
    lines = wrapped(text, width, indent)
    longest = max((len(word) for word in text.split()), default=0)
    assert all(len(line) <= max(width, indent + longest + width // 2) for line in lines)
    if "| " not in text:
        assert " ".join(lines).split() == text.split()


def test_a_phases_line_ends_with_its_seconds() -> None:
    [line] = headed("(3/8) BACKUP", "proved", "green", 80, 3.14)
    assert plain(line) == "(3/8) BACKUP     proved" + " " * 52 + "3.1 s"
    assert len(plain(line)) == 80
    assert [style for _text, style in line] == ["bold", "green", "dim"]


def test_a_phases_line_takes_several_where_it_must() -> None:
    lines = [plain(line) for line in headed("(3/8) BACKUP", "word " * 20, "", 80, 1234.5)]
    assert lines == [
        "(3/8) BACKUP     word word word word word word word word word word word  1234.5 s",
        "                 word word word word word word word word word",
    ]
    [unwrapped] = headed("A", "word " * 20, "", None, 1.0)
    assert plain(unwrapped).endswith("word word   1.0 s")


def test_a_label_that_is_longer_than_its_column_has_it_widened() -> None:
    [line] = headed("Fail in every way", "failed", "red", 80)
    assert plain(line) == "Fail in every way  failed"
    assert headed("A", "", "", 80) == [(("A".ljust(17), "bold"), ("", ""))]


def test_a_paragraph_has_one_style() -> None:
    assert paragraph("a\nb", "red", 80, 2) == [(("  a", "red"),), (("  b", "red"),)]


@pytest.mark.parametrize(
    ("sentences", "text"),
    [
        ([], ""),
        (["Created role a.", "Created role b.", "Started it."], "Created role a, role b. Started it."),
        (["Applied x in 0.1 s.", "Applied y in 0.2 s."], "Applied x in 0.1 s, y in 0.2 s."),
        (["Ended. Then more.", "Ended it."], "Ended. Then more. Ended it."),
        (["Would undo b.", "Would undo a.", "Would stop."], "Would undo b, a. Would stop."),
        (["Done.", "Done."], "Done. Done."),
        (["Done", "Done"], "Done Done"),
    ],
)
def test_sentences_with_the_same_verb_are_one(sentences: list[str], text: str) -> None:
    assert compact(sentences) == text


def test_a_summary_says_how_much_it_leaves_out() -> None:
    created = [f"Created role number_{number}." for number in range(20)]
    assert summary(created, 60, 4, 2) == [
        "    Created role number_0, role number_1, role number_2,",
        "    role number_3, role number_4. And 15 more.",
    ]
    assert summary(created, None, 4, 2) == [f"    {compact(created)}"]
    assert len(summary(["A single sentence, " * 20], 60, 4, 2)) > 2
