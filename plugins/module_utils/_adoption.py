# SPDX-License-Identifier: GPL-3.0-or-later
"""What another role made in the application's schemas, as Prisma did before Slipway came, becomes the owner's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access import Statement, of_extension, quote
from ansible_collections.slipway.deploy.plugins.module_utils._login_roles import membership

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A serial or identity column's sequence follows its table, a row or array type what it is of.
# Since version 15 "public" belongs to pg_database_owner, which is the database's owner (section 22.5).
OBJECTS = f"""
    SELECT (pg_catalog.pg_identify_object(catalogue, object, 0)).*, owner.rolname
    FROM (
        SELECT 'pg_catalog.pg_namespace'::regclass, oid, oid, nspowner, false
        FROM pg_catalog.pg_namespace WHERE nspowner <> 'pg_database_owner'::regrole
        UNION ALL
        SELECT 'pg_catalog.pg_class'::regclass, oid, relnamespace, relowner, false
        FROM pg_catalog.pg_class c
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND NOT exists(SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::regclass
                         AND objid = c.oid AND c.relkind = 'S' AND deptype IN ('a', 'i'))
        UNION ALL
        SELECT 'pg_catalog.pg_type'::regclass, t.oid, typnamespace, typowner, false
        FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = typrelid
        WHERE typtype IN ('e', 'd', 'r') OR c.relkind = 'c'
        UNION ALL
        SELECT 'pg_catalog.pg_proc'::regclass, oid, pronamespace, proowner, prosecdef FROM pg_catalog.pg_proc
    ) found (catalogue, object, namespace, owner, privileged)
    JOIN pg_catalog.pg_roles owner ON owner.oid = found.owner
    JOIN pg_catalog.pg_roles me ON me.rolname = current_user
    JOIN pg_catalog.pg_namespace n ON n.oid = namespace
    WHERE n.nspname = ANY(%s) AND owner.rolname <> %s
      AND NOT {of_extension("catalogue", "object")}
      -- A superuser's are for a superuser to give; a function that acts as a superuser is nobody else's.
      AND (NOT owner.rolsuper OR me.rolsuper AND NOT privileged)
    ORDER BY catalogue <> 'pg_catalog.pg_namespace'::regclass, 1, 4
"""


def plan(cursor: Cursor, owner: str, schemas: Sequence[str]) -> list[Statement]:
    """Statements that give the owner the schemas, relations, types and routines in them that another role owns."""
    cursor.execute(OBJECTS, [list(schemas), owner])
    found = cursor.fetchall()
    statements = [
        statement for former in sorted({row[-1] for row in found}) for statement in membership(cursor, former)
    ]
    for kind, _schema, _name, identity, _former in found:
        word = {"function": "ROUTINE", "procedure": "ROUTINE", "aggregate": "ROUTINE"}.get(kind, kind.upper())
        statements.append(
            Statement(f"ALTER {word} {identity} OWNER TO {quote(owner)}", f"Gave {kind} {identity} to {owner}.")
        )
    return statements
