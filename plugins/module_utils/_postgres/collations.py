# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the system sorts text as it did when a database's indexes were made.

A new C library or ICU, as a new image brings them, may sort otherwise: an index of before is then in the wrong order,
so that rows are not found and duplicates get in (manual, section 24.2.2.3 and ALTER COLLATION).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A database has a version of its own since PostgreSQL 15. Of PostgreSQL's own collations those count that are used.
_DATABASE = """
    SELECT format('DATABASE %I', datname), datcollversion, pg_catalog.pg_database_collation_actual_version(oid)
      FROM pg_catalog.pg_database WHERE datname = current_database()
    UNION ALL
"""
_COLLATIONS = """
    SELECT format('COLLATION %I.%I', nspname, collname), collversion, pg_catalog.pg_collation_actual_version(c.oid)
      FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = collnamespace
     WHERE collversion IS NOT NULL
       AND (c.oid >= 16384 OR EXISTS (SELECT FROM pg_catalog.pg_attribute
                                       WHERE attcollation = c.oid AND attrelid >= 16384))
"""


def changed(cursor: Cursor) -> str:
    """What is wrong, in sentences with the remedy, where a version of now is not the one that was noted; else ''."""
    since_15 = cursor.connection.server_version >= 150000
    cursor.execute(
        f"SELECT * FROM ({_DATABASE if since_15 else ''}{_COLLATIONS}) found (what, noted, actual) "
        "WHERE noted IS NOT NULL AND noted IS DISTINCT FROM actual ORDER BY what"
    )
    found = cursor.fetchall()
    if not found:
        return ""
    cursor.execute("SELECT current_database()")
    return explain(one_row(cursor)[0], found)


def insist(cursor: Cursor, policy: str) -> str:
    """What ``changed`` says, as a warning. Raises SlipwayError with it where the ``policy`` is refuse."""
    found = changed(cursor)
    if found and policy == "refuse":
        raise SlipwayError(f"{found} Nothing was changed; database_collations: warn goes on as it is.")
    return found


def explain(database: str, found: list[tuple[str, str, str | None]]) -> str:
    """The sentences: ``found`` has of each object its kind and name in SQL, the version noted and that of now."""
    versions = "; ".join(
        f"{what} was made with version {noted}, now it is {actual or 'none'}" for what, noted, actual in found
    )
    refresh = "; ".join(
        f"ALTER {what} REFRESH {'COLLATION ' if what.startswith('DATABASE') else ''}VERSION" for what, _, _ in found
    )
    return (
        f"The system sorts text otherwise than when the indexes of database {database} were made ({versions}), so that "
        "they may be in the wrong order: go back to the former image or C library, or check them (pg_amcheck "
        f"--heapallindexed {database}), rebuild them (REINDEX DATABASE {quote(database)}), and then note the new "
        f"version ({refresh})."
    )
