# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of SQL: names and values quoted, and statements with the sentence that reports them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SqlAction:
    """A statement to send, and the past-tense sentence that reports it. One with a ``secret`` is never shown."""

    sql: str
    done: str
    secret: bool = False

    @property
    def shown(self) -> str:
        return f"-- {self.done}" if self.secret else f"{self.sql};"


def quote(identifier: str) -> str:
    """A name as an identifier in SQL (manual section 4.1.1)."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a string constant in SQL, with standard_conforming_strings on (manual section 4.1.2)."""
    return "'" + text.replace("'", "''") + "'"
