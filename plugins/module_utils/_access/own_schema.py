# SPDX-License-Identifier: GPL-3.0-or-later
"""Slipway's own schema in the application's database, which is its owner's.

The application enters it only where its commands run on a schedule: it notes their runs in a table there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import COMMAND_RUNS, OWN_SCHEMA
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def read_only_for_others(cursor: Cursor, table: str) -> None:
    """Take every right but reading on a new table from all but its owner: default privileges may have given more."""
    _take(cursor, table, "SELECT")


def close_to_others(cursor: Cursor, table: str) -> None:
    """Take every right on a table from all but its owner."""
    _take(cursor, table, "")


def close_own_tables(cursor: Cursor) -> list[str]:
    """Take every right on each of Slipway's tables from all but its owner; their names."""
    cursor.execute(
        "SELECT format('%%I.%%I', nspname, relname) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE relkind = 'r' AND nspname = %s",
        [OWN_SCHEMA],
    )
    tables = [table for (table,) in cursor.fetchall()]
    for table in tables:
        close_to_others(cursor, table)
    return tables


def let_note_runs(cursor: Cursor, application: str) -> None:
    """Let the application's role into the schema for the table of its scheduled commands' runs."""
    cursor.execute(f"GRANT USAGE ON SCHEMA {OWN_SCHEMA} TO {quote(application)}")
    cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {COMMAND_RUNS} TO {quote(application)}")


def _take(cursor: Cursor, table: str, kept: str) -> None:
    cursor.execute(
        """
        SELECT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
               string_agg(privilege_type, ', ')
          FROM pg_class, aclexplode(relacl)
         WHERE oid = %s::regclass AND grantee <> relowner AND privilege_type <> %s
         GROUP BY grantee
        """,
        (table, kept),
    )
    for grantee, privileges in cursor.fetchall():
        cursor.execute(f"REVOKE {privileges} ON {table} FROM {grantee}")


def make_own_schema(cursor: Cursor) -> None:
    """Create Slipway's schema where it is missing, closed to all but its owner, whatever default privileges say."""
    cursor.execute("SELECT FROM pg_namespace WHERE nspname = 'slipway'")
    if cursor.rowcount:
        return
    cursor.execute("CREATE SCHEMA slipway")
    cursor.execute(
        """
        SELECT DISTINCT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
          FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'slipway' AND grantee <> nspowner
        """
    )
    for (grantee,) in cursor.fetchall():
        cursor.execute(f"REVOKE ALL ON SCHEMA slipway FROM {grantee}")
