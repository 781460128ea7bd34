# SPDX-License-Identifier: GPL-3.0-or-later
"""Text on a terminal: lines of styled spans, wrapped so that columns and excerpts of code stay readable."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

# A text and its style: "", "bold", "dim", or a colour.
Span = tuple[str, str]
Line = tuple[Span, ...]

LABEL = 17  # columns that a phase's label takes
SECONDS = 9  # columns of a phase's seconds, at the end of its line
NARROW, WIDE = 40, 120  # columns between which a terminal's own width is used

_EXCERPT = re.compile(r"^ *\d* *\| ")
_COLUMNS = re.compile(r"^( +\S.*?  +|- )(?=\S)")


@dataclass(frozen=True)
class Code:
    """SQL that is to be shown with colours where there are any, below the name of its file."""

    file: str
    text: str


Item = Line | Code


def plain(line: Line) -> str:
    """The text of a line."""
    return "".join(text for text, _style in line)


def wrapped(text: str, width: int | None, indent: int = 0) -> list[str]:
    """The lines of ``text``, each indented, and none longer than ``width`` columns unless a word is; None is no limit.

    What stands in columns goes on in its last column, and an excerpt with a caret is cropped around the caret.
    """
    room = width - indent if width else None
    lines: list[str] = []
    for is_excerpt, group in groupby(text.splitlines(), key=lambda line: bool(_EXCERPT.match(line))):
        these = list(group)
        lines += (_cropped if is_excerpt else _filled)(these, room) if room else these
    return [" " * indent + line if line.strip() else "" for line in lines]


def _filled(lines: list[str], room: int) -> list[str]:
    found: list[str] = []
    for line in lines:
        columns = _COLUMNS.match(line)
        hang = columns.end() if columns else len(line) - len(line.lstrip())
        found += textwrap.wrap(
            line,
            room,
            subsequent_indent=" " * min(hang, room // 2),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return found


def _cropped(lines: list[str], room: int) -> list[str]:
    """Lines of an excerpt, all cut on the same side of a window that holds the caret."""
    gutter = lines[0].index("| ") + 2
    codes = [line[gutter:].expandtabs() for line in lines]
    space = max(room - gutter, 10)
    if max(map(len, codes)) > space:
        caret = next((len(code) for code in codes if code.strip() == "^"), 0)
        start = max(0, min(caret - space * 2 // 3, max(map(len, codes)) - space))
        codes = [code[start : start + space].rstrip() for code in codes]
    return [line[:gutter] + code for line, code in zip(lines, codes, strict=True)]


def headed(label: str, text: str, style: str, width: int | None, seconds: float | None = None) -> list[Line]:
    """A label, a text beside it that may take several lines, and seconds at the end of the first."""
    indent = max(LABEL, len(label) + 2)
    lines = wrapped(text, width and width - (SECONDS if seconds is not None else 0), indent)
    first, *more = [line[indent:] for line in lines if line] or [""]
    time = "" if seconds is None else f"{seconds:.1f} s"
    gap = " " * max(2, (width or 80) - indent - len(first) - len(time))
    head: Line = ((label.ljust(indent), "bold"), (first, style), *([(gap + time, "dim")] if time else []))
    return [head, *(((" " * indent + line, style),) for line in more)]


def paragraph(text: str, style: str, width: int | None, indent: int = 0) -> list[Line]:
    """A text of its own."""
    return [((line, style),) for line in wrapped(text, width, indent)]


def _verb(sentence: str) -> str:
    words = sentence.split(" ", 3)
    return " ".join(words[: {"Would": 2, "Without": 3}.get(words[0], 1)])


def compact(sentences: Iterable[str]) -> str:
    """Sentences in a row; ``Created a.`` and ``Created b.``, which begin with the same verb, are ``Created a, b.``"""
    joined: list[str] = []
    for verb, group in groupby(sentences, key=_verb):
        same = list(group)
        if all(each.endswith(".") and ". " not in each and len(each) > len(verb) + 2 for each in same):
            joined.append(f"{verb} {', '.join(each[len(verb) + 1 : -1] for each in same)}.")
        else:
            joined += same
    return " ".join(joined)


def summary(sentences: list[str], width: int | None, indent: int, most: int) -> list[str]:
    """``compact`` in at most ``most`` lines (but for a single long sentence), with the number of what is left out."""
    for count in range(len(sentences), 0, -1):
        left = len(sentences) - count
        text = compact(sentences[:count]) + (f" And {left} more." if left else "")
        lines = wrapped(text, width, indent)
        if len(lines) <= most:
            break
    return lines
