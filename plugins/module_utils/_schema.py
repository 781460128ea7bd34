# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the application's schemas, and whether each role may do what it should and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access import HISTORY, TABLE_RIGHTS, Roles, quote
from ansible_collections.slipway.deploy.plugins.module_utils._connection import one_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

# A table that the planner's statistics put above this many rows is not counted but estimated (section 14.2).
COUNT_LIMIT = 1_000_000


@dataclass(frozen=True)
class Table:
    """A table with its number of rows; ``exact`` is False where the number is the planner's estimate."""

    schema: str
    name: str
    rows: int
    exact: bool
    bytes: int


def tables(cursor: Cursor, schemas: Sequence[str]) -> list[Table]:
    """The ordinary and partitioned tables of the schemas in order of their names, without the migration history."""
    cursor.execute(
        """
        SELECT n.nspname, c.relname, greatest(c.reltuples, 0)::bigint, pg_catalog.pg_total_relation_size(c.oid)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> %s
        ORDER BY 1, 2
        """,
        [list(schemas), HISTORY],
    )
    found = cursor.fetchall()
    small = [(schema, name) for schema, name, estimate, _size in found if estimate <= COUNT_LIMIT]
    counted: dict[tuple[str, str], int] = {}
    if small:
        counts = (f"(SELECT count(*) FROM {quote(schema)}.{quote(name)})" for schema, name in small)
        cursor.execute("SELECT " + ", ".join(counts))
        counted = dict(zip(small, one_row(cursor)))
    return [
        Table(schema, name, counted.get((schema, name), estimate), (schema, name) in counted, size)
        for schema, name, estimate, size in found
    ]


def violations(cursor: Cursor, schemas: Sequence[str], roles: Roles) -> list[str]:
    """One sentence for each right that a role has and should not have, or lacks and needs."""
    found: list[str] = []
    for purpose, role in roles.clients():
        found += attribute_violations(cursor, role, roles.owner)
        found += schema_violations(cursor, role, schemas)
        found += table_violations(cursor, role, schemas, set(TABLE_RIGHTS[purpose].split(", ")))
    return found


def attribute_violations(cursor: Cursor, role: str, owner: str) -> list[str]:
    """A client role is no superuser and no member of the owner, creates no roles or databases, and may connect."""
    cursor.execute(
        """
        SELECT rolsuper, rolcreatedb, rolcreaterole, rolbypassrls, pg_has_role(rolname, %s, 'MEMBER'),
               NOT has_database_privilege(rolname, current_database(), 'CONNECT')
        FROM pg_catalog.pg_roles WHERE rolname = %s
        """,
        [owner, role],
    )
    row = cursor.fetchone()
    if row is None:
        return [f"Role {role} does not exist."]
    says = (
        "is a superuser",
        "may create databases",
        "may create roles",
        "passes row security",
        f"is a member of {owner}",
        "may not connect",
    )
    return [f"Role {role} {what}." for wrong, what in zip(row, says) if wrong]


def schema_violations(cursor: Cursor, role: str, schemas: Sequence[str]) -> list[str]:
    """A client role uses the schemas and creates nothing in them."""
    cursor.execute(
        """
        SELECT nspname, has_schema_privilege(%(role)s, oid, 'USAGE'), has_schema_privilege(%(role)s, oid, 'CREATE')
        FROM pg_catalog.pg_namespace WHERE nspname = ANY(%(schemas)s) ORDER BY nspname
        """,
        {"role": role, "schemas": list(schemas)},
    )
    found = []
    for schema, use, create in cursor.fetchall():
        if not use:
            found.append(f"Role {role} may not use schema {schema}.")
        if create:
            found.append(f"Role {role} may create objects in schema {schema}.")
    return found


def table_violations(cursor: Cursor, role: str, schemas: Sequence[str], wanted: set[str]) -> list[str]:
    """A client role has just the ``wanted`` rights on every table, and only reads the migration history."""
    cursor.execute(
        """
        SELECT n.nspname || '.' || c.relname, c.relname = %(history)s,
               pg_catalog.pg_get_userbyid(c.relowner) = %(role)s,
               array(SELECT p FROM unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER,REFERENCES}'::text[]) p
                     WHERE has_table_privilege(%(role)s, c.oid, p))
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p') ORDER BY 1
        """,
        {"role": role, "schemas": list(schemas), "history": HISTORY},
    )
    found = []
    for table, is_history, owns, rights in cursor.fetchall():
        if owns:
            found.append(f"Role {role} owns table {table}.")
            continue
        expected = {"SELECT"} if is_history else wanted
        if expected - set(rights):
            found.append(f"Role {role} lacks {', '.join(sorted(expected - set(rights)))} on {table}.")
        if set(rights) - expected:
            found.append(f"Role {role} has {', '.join(sorted(set(rights) - expected))} on {table}.")
    return found
