# SPDX-License-Identifier: GPL-3.0-or-later
"""What a migration is, and how the controller hands the files it has read to the module on the database host."""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction
from ansible_collections.slipway.deploy.plugins.module_utils._migration.lint_relevance import Lint

# Space, punctuation and digits in the order of ICU's root collation, which is that of Prisma (localeCompare).
_COLLATION = {character: weight for weight, character in enumerate(" _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789")}


@dataclass(frozen=True)
class Migration:
    """A directory below ``migrations/``: its name, every checksum that counts as the file's, what is wrong with it.

    ``checksums`` begins with the one to record; the others are the same text with other line endings. Without a
    ``migration.sql`` there are none. ``problem`` is a sentence that matters while the migration is pending.
    """

    name: str
    checksums: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class Statement:
    """One SQL statement as the slice ``[start:end]`` of its file, in characters.

    ``transaction`` is empty, or ``alone`` (PostgreSQL refuses it within one), ``begin``, ``commit``, ``rollback``.
    ``about`` says of some what is to be known when they are repeated: what they do, and to what. ``set`` is what sets
    something for the session, ``leaves session clean`` what does nothing to it at all.
    ``tables`` are the existing tables that it is to change, as SQL.
    """

    start: int
    end: int
    transaction: str = ""
    about: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reach:
    """What a statement, the one with the number ``statement``, changes outside its database, as a phrase.

    ``transactional``: a rollback takes it back. ``only``: it changes nothing in its database.
    """

    what: str
    transactional: bool = False
    only: bool = False
    statement: int = 0


@dataclass(frozen=True)
class Need:
    """What a statement needs of the server: an extension's name, or ``ICU``. Known on the controller alone."""

    what: str
    place: str


@dataclass(frozen=True)
class Script:
    """The text of a ``migration.sql`` with its statements, and the name to give the file in messages.

    ``effects_outside_database``: what it changes outside this database, each as a phrase with its place.
    """

    path: str
    text: str
    statements: tuple[Statement, ...]
    destructive: tuple[Destruction, ...] = ()
    effects_outside_database: tuple[Reach, ...] = ()
    lint: tuple[Lint, ...] = ()
    needs: tuple[Need, ...] = ()

    def sql(self, statement: Statement) -> str:
        """The text of one statement."""
        return self.text[statement.start : statement.end]


@dataclass(frozen=True)
class Step:
    """Statements ``first`` to ``last`` (exclusive) of a script, for one transaction or, if ``alone``, for none."""

    first: int
    last: int
    alone: bool = False


def checksums(text: str) -> tuple[str, ...]:
    """The checksums that Prisma accepts for a file's text: as it is, with LF and with CRLF line endings."""
    unix = text.replace("\r\n", "\n")
    variants = dict.fromkeys((text, unix, unix.replace("\n", "\r\n")))
    return tuple(hashlib.sha256(variant.encode()).hexdigest() for variant in variants)


def whitespace_variants(text: str) -> set[str]:
    """The checksums of texts that differ from this one in white space only, as far as they can be guessed.

    They are those without blanks at the ends of lines, without white space at the file's ends, and with some usual one
    at its end. Of what was applied there is but the checksum: what was removed from within the text can't be known.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    bodies = {text.rstrip(), text.strip(), "\n".join(lines).rstrip(), "\n".join(lines).strip()}
    return {sum_ for body in bodies for end in ("", "\n", "\n\n", " ", " \n") for sum_ in checksums(body + end)}


def sort_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Orders names as JavaScript's ``localeCompare`` does: punctuation, digits, letters; case only breaks ties."""
    letters = unicodedata.normalize("NFD", name.casefold())
    primary = [
        (_COLLATION.get(letter, len(_COLLATION)), letter) for letter in letters if not unicodedata.combining(letter)
    ]
    return primary, name.swapcase()


def steps(statements: Sequence[Statement], begin_at: int = 0) -> list[Step]:
    """Cut a script, from statement ``begin_at`` on, into what must or may share a transaction."""
    result: list[Step] = []
    first, opened = begin_at, False
    for number, statement in enumerate(statements[begin_at:], begin_at):
        starts = not opened and statement.transaction in ("alone", "begin")
        if starts and first < number:
            result.append(Step(first, number))
            first = number
        if statement.transaction == "begin":
            opened = True
        elif statement.transaction in ("commit", "rollback") or starts:
            result.append(Step(first, number + 1, alone=starts))
            first, opened = number + 1, False
    if first < len(statements):
        result.append(Step(first, len(statements)))
    return result


def locate(text: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1, of a character's offset in a text."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def excerpt(text: str, offset: int, width: int = 100) -> str:
    """The line that holds an offset with a caret below the place, shortened to ``width`` around it."""
    line, column = locate(text, offset)
    content = (text.split("\n")[line - 1]).rstrip("\r")
    cut = max(0, min(column - width // 2, len(content) - width))
    shown = content[cut : cut + width]
    pad = "".join("\t" if letter == "\t" else " " for letter in shown[: column - 1 - cut])
    label = f"{line} | "
    return f"{label}{shown}\n{' ' * (len(label) - 2)}| {pad}^"


class Payload:
    """The migrations as they travel to the host. The SQL is unpacked only when a migration is pending."""

    def __init__(self, migrations: Sequence[Migration], packed: str) -> None:
        self.migrations = tuple(migrations)
        self._packed = packed

    @classmethod
    def pack(cls, migrations: Iterable[Migration], scripts: Mapping[str, Script]) -> Payload:
        """Prepare migrations and their scripts, by name, for the journey."""
        sql = {name: _fields(script) for name, script in scripts.items()}
        return cls(tuple(migrations), base64.b64encode(zlib.compress(json.dumps(sql).encode())).decode())

    def dump(self) -> str:
        """The text to give to the module."""
        return json.dumps([[[each.name, each.checksums, each.problem] for each in self.migrations], self._packed])

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it, the same for the same files."""
        return hashlib.sha256(self.dump().encode()).hexdigest()

    @classmethod
    def load(cls, text: str | None) -> Payload:
        """Read what ``dump`` wrote."""
        if not text:
            raise SlipwayError(
                "The migrations were not read: run the module as a task, so that its action plugin does it."
            )
        listed, packed = json.loads(text)
        return cls([Migration(name, tuple(sums), problem) for name, sums, problem in listed], packed)

    @cached_property
    def scripts(self) -> dict[str, Script]:
        """The scripts by the migration's name; one that could not be read is not there."""
        sql = json.loads(zlib.decompress(base64.b64decode(self._packed)))
        return {name: _script(**fields) for name, fields in sql.items()}


def _fields(script: Script) -> dict[str, Any]:
    return {
        "path": script.path,
        "text": script.text,
        "statements": [[part.start, part.end, part.transaction, part.about] for part in script.statements],
        "destructive": [asdict(each) for each in script.destructive],
        "effects_outside_database": [asdict(each) for each in script.effects_outside_database],
        "lint": [asdict(each) for each in script.lint],
    }


def _script(
    path: str,
    text: str,
    statements: list[Any],
    destructive: list[dict[str, str]],
    effects_outside_database: list[dict[str, Any]],
    lint: list[dict[str, Any]],
) -> Script:
    parts = tuple(Statement(start, end, transaction, tuple(about)) for start, end, transaction, about in statements)
    found = tuple(Lint(**{**each, "tables": tuple(each["tables"])}) for each in lint)
    reached = tuple(Reach(**each) for each in effects_outside_database)
    return Script(path, text, parts, tuple(Destruction(**each) for each in destructive), reached, found)
