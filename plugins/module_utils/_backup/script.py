# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain dump, statement by statement, as psql reads it; but nothing in it is a command to a program.

psql runs what begins with a backslash on the machine where it runs. Here the statements go to the server alone, so such
a line is refused, but for those that pg_dump itself writes: ``\\restrict``, ``\\unrestrict``, and ``\\connect``,
always to the same database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

_LETTER = rb"[A-Za-z_\x80-\xff]"
_TOKEN = re.compile(
    rb"(?P<word>" + _LETTER + rb"[\w$\x80-\xff]*)|(?P<dollar>\$(?:" + _LETTER + rb"[\w\x80-\xff]*)?\$)"
    rb"|(?P<mark>['\";()\\]|--|/\*)"
)
_COMMENT_END = re.compile(rb"/\*|\*/")
_ENDS = {
    b"'": re.compile(rb"'"),
    b"E'": re.compile(rb"\\[\s\S]?|''|'"),  # a backslash takes the next character along
    b'"': re.compile(rb'"'),
}
_COPY = re.compile(rb"COPY\s.*\sFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_ROUTINE = re.compile(rb"CREATE\s+(OR\s+REPLACE\s+)?(FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_OLD_STRINGS = re.compile(rb"SET\s+standard_conforming_strings\s*(?:=|TO)\s*'?(off|false|0)", re.IGNORECASE)
_HEAD, _FOOT = b"-- PostgreSQL database dump", b"-- PostgreSQL database dump complete"
_CLUSTER = b"-- PostgreSQL database cluster dump"
_BOM = b"\xef\xbb\xbf"
_COPY_ENDS = (b"\\.\n", b"\\.\r\n", b"\\.")  # the last without a newline, at the end of a file
CHUNK = 1 << 16  # bytes of rows that are handed on at a time

# What is not done, since it is the administrator's or the environment's: by its beginning, without leading comments.
_LEFT_OUT = {
    "owners": rb"ALTER\s+(?!DATABASE\b).*\sOWNER\s+TO\s+(\"[^\"]+\"|\S+)\s*$"
    rb"|SET\s+(LOCAL\s+|SESSION\s+)?(SESSION\s+AUTHORIZATION|ROLE)\b|RESET\s+(SESSION\s+AUTHORIZATION|ROLE)\b",
    "rights": rb"GRANT\b|REVOKE\b|ALTER\s+DEFAULT\s+PRIVILEGES\b",
    "properties of the database": rb"(CREATE|ALTER|DROP|COMMENT\s+ON|SECURITY\s+LABEL\s.*\sON)\s+DATABASE\b"
    rb"|ALTER\s+ROLE\s.*\sIN\s+DATABASE\b",
    "the schema public": rb"(CREATE|DROP)\s+SCHEMA\s+(IF\s+(NOT\s+)?EXISTS\s+)?\"?public\"?\s*$",
    "comments on extensions": rb"COMMENT\s+ON\s+EXTENSION\b",
    "subscriptions": rb"(CREATE|ALTER|DROP|COMMENT\s+ON)\s+SUBSCRIPTION\b",
}
_RULES = {what: re.compile(rule, re.IGNORECASE | re.DOTALL) for what, rule in _LEFT_OUT.items()}
_NAME = rb'("(?:[^"]|"")+"|[\w$\x80-\xff]+)'
_EXTENSION = re.compile(
    rb"CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?" + _NAME + rb"(?:\s+WITH)?(?:\s+SCHEMA\s+" + _NAME + rb")?",
    re.IGNORECASE,
)
_DROPS = re.compile(rb"DROP\b|ALTER\s+(TABLE|DOMAIN|PUBLICATION)\s.*\sDROP\b", re.IGNORECASE | re.DOTALL)
_ON_PUBLIC = re.compile(rb"COMMENT\s+ON\s+SCHEMA\s+\"?public\"?\s", re.IGNORECASE)
_TABLE = re.compile(
    rb"CREATE\s+(?:UNLOGGED\s+)?(?:FOREIGN\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?("
    + _NAME
    + rb"(?:\."
    + _NAME
    + rb")?)",
    re.IGNORECASE,
)
_LEADING = re.compile(rb"(?:\s+|--[^\n]*(?:\n|$))+")


class CutOffError(SlipwayError):
    """The script ends where it can't end."""


@dataclass(frozen=True)
class Statement:
    """One statement without the comments before it, and the line that it begins in; ``rows`` follow a COPY."""

    line: int
    text: bytes
    rows: Rows | None = None

    @property
    def left_out(self) -> str:
        """Why it is not done: what it is about; '' when it is done."""
        return next((what for what, rule in _RULES.items() if rule.match(self.text)), "")

    @property
    def extension(self) -> tuple[str, str] | None:
        """The extension that it creates, and in which schema ('' is the first of the search_path)."""
        found = _EXTENSION.match(self.text)
        return (_unquoted(found[1]), _unquoted(found[2] or b"")) if found else None

    @property
    def table(self) -> str:
        """The table that it creates, as it is written there; '' when it creates none."""
        found = _TABLE.match(self.text)
        return found[1].decode(errors="replace") if found else ""

    @property
    def drops(self) -> bool:
        """Whether it takes something away, which a database that is new does not have."""
        return bool(_DROPS.match(self.text))

    @property
    def comments_on_public(self) -> bool:
        """Whether it comments on schema public, which belongs to the database's owner from PostgreSQL 15 on."""
        return bool(_ON_PUBLIC.match(self.text))

    @property
    def sets(self) -> bool:
        return bool(re.match(rb"SET\b", self.text, re.IGNORECASE))

    @property
    def shown(self) -> str:
        """Its beginning in one line."""
        text = " ".join(self.text[:400].decode(errors="replace").split())
        return text if len(text) <= 80 else f"{text[:79]}…"


def _stripped(text: bytes) -> bytes:
    """A text without the comments and blanks that it begins with."""
    leading = _LEADING.match(text)
    return text[leading.end() :] if leading else text


def _unquoted(name: bytes) -> str:
    text = name.decode(errors="replace")
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()


class Script:
    """The statements of the lines of a file, which ``name`` is in messages.

    Raises SlipwayError, while it is read, at a meta-command, at a dump of a whole cluster, and where it was cut off.
    """

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        self.lines = iter(lines)
        self.name = name
        self.number = 0  # of the line that was read last
        self.complete: bool | None = None  # whether pg_dump's last line was seen; None where its first one was not
        self.connected = b""  # to which database, as it is written there
        self.old_strings = False  # whether a backslash in '…' takes the next character along

    def __iter__(self) -> Iterator[Statement]:
        """The statements in order. The rows of a COPY are skipped where they were not read."""
        gathered: list[bytes] = []
        begin, inside, depth, parens, blocks = 0, b"", 0, 0, 0
        bare = False  # whether nothing of the statement came before the comment
        for line in self._numbered():
            if not inside and line.startswith(b"-- PostgreSQL"):
                self._notice(line)
            at = 0
            start = 0  # of what belongs to the statement that is being gathered
            word: re.Match[bytes] | None = None
            while at < len(line):
                if inside == b"/*":
                    found = _COMMENT_END.search(line, at)
                    if not found:
                        break
                    depth += 1 if found[0] == b"/*" else -1
                    at, inside = found.end(), b"/*" if depth else b""
                    if bare and not depth:
                        gathered, start = [], at
                    continue
                if inside:
                    end = _ENDS.get(inside) or re.compile(re.escape(inside))
                    found = end.search(line, at)
                    if not found:
                        break
                    at = found.end()
                    if not found[0].startswith((b"\\", b"''")):
                        inside = b""
                    continue
                token = _TOKEN.search(line, at)
                if not token:
                    break
                at = token.end()
                if token["word"]:
                    word = token
                    lower = token[0].lower()
                    if lower in (b"begin", b"case", b"end") and self._routine(gathered, line[start : token.start()]):
                        blocks = max(0, blocks + (-1 if lower == b"end" else 1 if lower == b"begin" or blocks else 0))
                elif token["dollar"]:
                    inside = token[0]
                elif token[0] == b"--":
                    break
                elif token[0] == b"/*":
                    inside, depth = b"/*", 1
                    bare = not _stripped(b"".join([*gathered, line[start : token.start()]]))
                elif token[0] == b"'":
                    escapes = self.old_strings or (
                        word is not None and word[0] in (b"e", b"E") and word.end() == token.start()
                    )
                    inside = b"E'" if escapes else b"'"
                elif token[0] == b'"':
                    inside = b'"'
                elif token[0] in b"()":
                    parens = max(0, parens + (1 if token[0] == b"(" else -1))
                elif token[0] == b"\\":
                    self._meta_command(b"".join([*gathered, line[start : at - 1]]), line[at:])
                    gathered, start, at = [], len(line), len(line)
                elif not parens and not blocks:  # a semicolon that ends a statement
                    text = _stripped(b"".join([*gathered, line[start : at - 1]]))
                    begin = begin or self.number
                    gathered, start = [], at
                    if text:
                        old = _OLD_STRINGS.match(text)
                        self.old_strings = bool(old) or (
                            self.old_strings and b"standard_conforming_strings" not in text
                        )
                        rows = Rows(self) if _COPY.match(text) else None
                        yield Statement(begin, text, rows)
                        if rows:
                            rows.skip()
                            start = at = len(line)
                    begin = 0
            rest = line[start:]
            if gathered or _stripped(rest) or inside:
                begin = begin or self.number
                gathered.append(rest)
        rest = _stripped(b"".join(gathered))
        if inside or rest or self.complete is False:
            raise self.cut_off(f"in the statement of line {begin}" if inside or rest else "before pg_dump's last line")

    def _numbered(self) -> Iterator[bytes]:
        for line in self.lines:
            self.number += 1
            if self.number == 1 and line.startswith(_BOM):
                line = line[len(_BOM) :]
            yield line

    def _notice(self, line: bytes) -> None:
        """See the comments by which pg_dump begins and ends."""
        told = line.rstrip(b"\r\n")
        if told == _CLUSTER:
            raise SlipwayError(
                f"{self.name} is of a whole cluster, as pg_dumpall writes it, with roles and several databases: dump "
                "the one database alone with pg_dump; nothing was changed."
            )
        if told in (_HEAD, _FOOT):
            self.complete = told == _FOOT

    @staticmethod
    def _routine(gathered: list[bytes], rest: bytes) -> bool:
        head = _stripped(b"".join([*gathered[:20], rest])[:2000])
        return bool(_ROUTINE.match(head))

    def _meta_command(self, before: bytes, after: bytes) -> None:
        command = re.match(rb"\w*", after)
        name = command[0] if command else b""
        outside = not _stripped(before)
        if outside and name in (b"restrict", b"unrestrict"):
            return
        if outside and name in (b"connect", b"c") and after == (self.connected or after):
            self.connected = after
            return
        shown = (b"\\" + (after.split() or [b""])[0]).decode(errors="replace")
        raise SlipwayError(
            f"{self.name} has the command {shown!r} for psql in line {self.number}, which pg_dump does not write for "
            "one database, and it is not run: take it out of the file if it is not needed; nothing was changed."
        )

    def cut_off(self, where: str) -> CutOffError:
        return CutOffError(
            f"{self.name} was cut off: it ends {where} (line {self.number}), so it can't be restored and nothing was "
            "changed: bring a whole copy."
        )


class Rows:
    """The lines that follow a COPY, up to its end; a file to read from, as psycopg2 takes it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.ended = False
        self.count = 0

    def read(self, size: int = CHUNK) -> bytes:
        """Some whole lines; b'' at the end."""
        taken: list[bytes] = []
        length = 0
        if not self.ended:
            for line in self.script.lines:
                if line in _COPY_ENDS:
                    self.ended = True
                    self.script.number += 1
                    break
                taken.append(line)
                length += len(line)
                if length >= size:
                    break
            self.script.number += len(taken)
            if not self.ended and length < size:
                raise self.script.cut_off("in the rows of a table")
        self.count += len(taken)
        return b"".join(taken)

    def readline(self, size: int = CHUNK) -> bytes:  # psycopg2 insists on it
        return self.read(size)

    def skip(self) -> None:
        while self.read():
            pass
