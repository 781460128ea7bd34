# SPDX-License-Identifier: GPL-3.0-or-later
"""What people decided about migrations, with their reasons, kept in the schema ``slipway``, which Prisma never sees."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.own_schema import (
    close_to_others,
    make_own_schema,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_TABLE = """
    CREATE TABLE IF NOT EXISTS slipway.migration_decisions (
        decided_at timestamptz NOT NULL DEFAULT now(),
        migration  text        NOT NULL,
        decision   text        NOT NULL,
        reason     text        NOT NULL,
        author     text        NOT NULL,
        role       text        NOT NULL DEFAULT current_user
    );
"""
_INSERT = """
    INSERT INTO slipway.migration_decisions (migration, decision, reason, author)
    SELECT %s, %s, %s, %s
    EXCEPT SELECT migration, decision, reason, author FROM slipway.migration_decisions
"""


@dataclass(frozen=True)
class Decision:
    """A deviation from the rule: what, why, and by whom."""

    what: str
    reason: str
    author: str


def write_down(cursor: Cursor, migration: str, decision: Decision) -> None:
    """Write a decision down, once, in the caller's transaction."""
    try:
        cursor.execute("SELECT to_regclass('slipway.migration_decisions') IS NULL")
        if one_row(cursor)[0]:
            make_own_schema(cursor)
            cursor.execute(_TABLE)
            close_to_others(cursor, "slipway.migration_decisions")
        cursor.execute(_INSERT, (migration, decision.what, decision.reason, decision.author))
    except psycopg2.errors.InsufficientPrivilege as error:
        cursor.execute("ROLLBACK")
        raise SlipwayError(
            f"The role may not keep the reason for {migration!r} in slipway.migration_decisions "
            f"({error.diag.message_primary}): run as the database's owner, or grant CREATE on the database."
        ) from error
