# SPDX-License-Identifier: GPL-3.0-or-later
"""Extensions that only an administrator may create: made in the application's database before its migrations run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

_LACKING = """
    SELECT name, EXISTS (SELECT FROM pg_available_extensions AS known WHERE known.name = wanted.name)
      FROM unnest(%s::text[]) WITH ORDINALITY AS wanted (name, number)
     WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = wanted.name) ORDER BY number
"""


def plan(cursor: Cursor, names: Sequence[str]) -> list[SqlAction]:
    """The statements that create those of the extensions that the current database lacks.

    Raises SlipwayError when the server does not have one.
    """
    cursor.execute(_LACKING, [list(names)])
    found = cursor.fetchall()
    missing = [name for name, available in found if not available]
    if missing:
        raise SlipwayError(
            f"The server does not have the extension {missing[0]!r}, which app_extensions names: install it there "
            "(Debian: its package for this version of PostgreSQL), take an image that has it, or correct the name."
        )
    return [create(name) for name, _ in found]


def create(name: str) -> SqlAction:
    """Create an extension with those that it requires."""
    return SqlAction(f"CREATE EXTENSION IF NOT EXISTS {quote(name)} CASCADE", f"Created extension {name}.")
