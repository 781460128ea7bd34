# SPDX-License-Identifier: GPL-3.0-or-later
"""Which findings of the linter matter to this database: a lock on a table that is new or small holds nobody up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Squawk's rules that count, by the size in bytes that one of the statement's tables must exceed. The others are about
# style, or about what Slipway sees to: time limits for locks, statements that can't share a transaction, second runs.
LARGE = 10 * 1024 * 1024
RULES = {
    "adding-field-with-default": LARGE,
    "adding-foreign-key-constraint": LARGE,
    "adding-not-nullable-field": LARGE,
    "adding-primary-key-constraint": LARGE,
    "changing-column-type": LARGE,
    "constraint-missing-not-valid": LARGE,
    "disallowed-unique-constraint": LARGE,
    "require-concurrent-index-creation": LARGE,
    "require-concurrent-index-deletion": LARGE,
    "adding-required-field": 0,
    "ban-drop-not-null": 0,
    "renaming-column": 0,
    "renaming-table": 0,
    "ban-char-field": -1,
    "ban-truncate-cascade": -1,
    "identifier-too-long": -1,
    "prefer-timestamptz": -1,
}


@dataclass(frozen=True)
class Lint:
    """What the linter says of a statement, at a place ``file:line:column``; ``tables`` are SQL names.

    ``waiver`` is the reason that the file gives for doing it all the same.
    """

    place: str
    rule: str
    message: str
    tables: tuple[str, ...] = ()
    waiver: str = ""

    def result(self, migration: str) -> dict[str, Any]:
        """The finding as a module returns it."""
        known = {"place": self.place, "rule": self.rule, "message": self.message, "waiver": self.waiver}
        return {"migration": migration, **known}


def is_style(lint: Lint) -> bool:
    """Whether a finding is about how something is written or named, whatever the tables hold."""
    return RULES[lint.rule] < 0


def applies_here(cursor: Cursor, lint: Lint) -> bool:
    """Whether a finding is about this database: its rule's size is exceeded by a table that the statement is about."""
    limit = RULES[lint.rule]
    if limit < 0 or not lint.tables:
        return True
    cursor.execute("SELECT max(pg_relation_size(to_regclass(name))) FROM unnest(%s) AS name", (list(lint.tables),))
    row = cursor.fetchone()
    return row is not None and row[0] is not None and row[0] > limit
