# SPDX-License-Identifier: GPL-3.0-or-later
"""What people decided about migrations, with their reasons, kept in the schema ``slipway``, which Prisma never sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

_TABLE = """
    CREATE SCHEMA IF NOT EXISTS slipway;
    CREATE TABLE IF NOT EXISTS slipway.migration_decisions (
        decided_at timestamptz NOT NULL DEFAULT now(),
        migration  text        NOT NULL,
        decision   text        NOT NULL,
        reason     text        NOT NULL,
        author     text        NOT NULL,
        role       text        NOT NULL DEFAULT current_user
    );
"""


@dataclass(frozen=True)
class Decision:
    """A deviation from the rule: what, why, and by whom."""

    what: str
    reason: str
    author: str


def record(cursor: Cursor, migration: str, decision: Decision) -> None:
    """Write a decision down, in the caller's transaction."""
    cursor.execute("SELECT to_regclass('slipway.migration_decisions') IS NULL AS missing")
    row = cursor.fetchone()
    if row and row[0]:
        cursor.execute(_TABLE)
    cursor.execute(
        "INSERT INTO slipway.migration_decisions (migration, decision, reason, author) VALUES (%s, %s, %s, %s)",
        (migration, decision.what, decision.reason, decision.author),
    )
