# SPDX-License-Identifier: GPL-3.0-or-later
"""The role that reads the server's statistics and no row: a member of pg_monitor that may connect to one database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access import login_roles, rights
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


def plan(cursor: Cursor, server: Server, role: str, password: str) -> list[SqlAction]:
    """Statements for what the role lacks (manual section 22.5 for pg_monitor)."""
    statements = login_roles.plan_roles(cursor, server, {role: password})
    cursor.execute(
        "SELECT exists(SELECT FROM pg_catalog.pg_auth_members"
        " WHERE roleid = to_regrole('pg_monitor') AND member = to_regrole(%s))",
        [quote(role)],
    )
    if not one_row(cursor)[0]:
        statements.append(SqlAction(f"GRANT pg_monitor TO {quote(role)}", f"Made role {role} a member of pg_monitor."))
    held, target, shown = rights.on_database(cursor)
    return statements + rights.grant(held, role, "CONNECT", target, shown)


def plan_removal(cursor: Cursor, role: str) -> list[SqlAction]:
    """Statements that take the role away, with what it has on databases; a restore hands that on to its own."""
    cursor.execute("SELECT to_regrole(%s) IS NOT NULL", [quote(role)])
    if not one_row(cursor)[0]:
        return []
    cursor.execute(
        "SELECT DISTINCT datname FROM pg_catalog.pg_database, pg_catalog.aclexplode(datacl) entry"
        " WHERE entry.grantee = to_regrole(%s) ORDER BY 1",
        [quote(role)],
    )
    return [
        *(
            SqlAction(f"REVOKE ALL ON DATABASE {quote(name)} FROM {quote(role)}", f"Took database {name} from {role}.")
            for (name,) in cursor.fetchall()
        ),
        SqlAction(f"DROP ROLE {quote(role)}", f"Dropped role {role}."),
    ]


def roles(cursor: Cursor) -> list[str]:
    """Every role that is a member of pg_monitor, be it this one or somebody else's, as PostgreSQL prints a role."""
    cursor.execute(
        "SELECT member::regrole::text FROM pg_catalog.pg_auth_members WHERE roleid = to_regrole('pg_monitor')"
    )
    return [name for (name,) in cursor.fetchall()]
