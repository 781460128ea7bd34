# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the application's schemas, and whether each role may do what it should and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access import (
    HISTORY,
    SEQUENCE_RIGHTS,
    TABLE_RIGHTS,
    Roles,
    of_extension,
)
from ansible_collections.slipway.deploy.plugins.module_utils._connection import batches, one_row

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

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
    """The ordinary and partitioned tables of the schemas in order of their names, without the migration history.

    The rows of a partitioned table are those of its partitions. The cursor is on autocommit, or the locks of all tables
    are held until its transaction ends.
    """
    cursor.execute(
        """
        WITH RECURSIVE part AS (
            SELECT c.oid AS root, n.nspname AS schema, c.* FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> %s
            UNION ALL
            SELECT part.root, n.nspname, c.* FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.oid
            JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE part.relkind = 'p')
        SELECT n.nspname, c.relname, sum(greatest(part.reltuples, 0))::bigint,
               sum(pg_catalog.pg_total_relation_size(part.oid))::bigint,
               array_agg(pg_catalog.format('%%I.%%I', part.schema, part.relname)) FILTER (WHERE part.relkind <> 'p')
        FROM part JOIN pg_catalog.pg_class c ON c.oid = part.root
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        GROUP BY 1, 2 ORDER BY 1, 2
        """,
        [list(schemas), HISTORY],
    )
    found = cursor.fetchall()
    small = [stored or [] for *_, estimate, _, stored in found if estimate <= COUNT_LIMIT]
    rows = count(cursor, [name for stored in small for name in stored])
    return [
        Table(schema, name, sum(rows[each] for each in stored or []), True, size)
        if estimate <= COUNT_LIMIT
        else Table(schema, name, estimate, False, size)
        for schema, name, estimate, size, stored in found
    ]


def count(cursor: Cursor, relations: Sequence[str]) -> dict[str, int]:
    """The number of rows in each of the relations, whose names are quoted, a batch at a time."""
    rows: dict[str, int] = {}
    for batch in batches(relations):
        cursor.execute("SELECT " + ", ".join(f"(SELECT pg_catalog.count(*) FROM {name})" for name in batch))
        rows.update(zip(batch, one_row(cursor)))
    return rows


def violations(cursor: Cursor, schemas: Sequence[str], roles: Roles) -> list[str]:
    """One sentence for each right that a role has and should not have, or lacks and needs."""
    found: list[str] = []
    for purpose, role in roles.clients():
        reason = unlimited(cursor, role, roles.owner)
        if reason:
            found.append(f"Role {role} {reason}.")
        else:
            found += attribute_violations(cursor, role)
            found += schema_violations(cursor, role, schemas)
            found += relation_violations(cursor, role, schemas, purpose)
    return found


def unlimited(cursor: Cursor, role: str, owner: str) -> str:
    """Why no right of the role can be told by itself: all of them follow from this; '' when they can."""
    cursor.execute(
        """
        SELECT rolsuper, exists(SELECT FROM pg_catalog.pg_roles o
                                WHERE o.rolname = %s AND pg_has_role(r.oid, o.oid, 'MEMBER'))
        FROM pg_catalog.pg_roles r WHERE rolname = %s
        """,
        [owner, role],
    )
    row = cursor.fetchone()
    if row is None:
        return "does not exist"
    superuser, member = row
    return "is a superuser" if superuser else f"is a member of {owner}" if member else ""


def attribute_violations(cursor: Cursor, role: str) -> list[str]:
    """A client role creates no roles or databases, and may connect."""
    cursor.execute(
        """
        SELECT rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,
               NOT has_database_privilege(rolname, current_database(), 'CONNECT')
        FROM pg_catalog.pg_roles WHERE rolname = %s
        """,
        [role],
    )
    says = ("may create databases", "may create roles", "may replicate", "passes row security", "may not connect")
    return [f"Role {role} {what}." for wrong, what in zip(one_row(cursor), says) if wrong]


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


def relation_violations(cursor: Cursor, role: str, schemas: Sequence[str], purpose: str) -> list[str]:
    """A client role has just the rights of its purpose on every table and sequence; it only reads the history.

    Those of an extension are its own business.
    """
    cursor.execute(
        f"""
        SELECT n.nspname || '.' || c.relname, c.relname = %(history)s, c.relkind = 'S',
               pg_catalog.pg_get_userbyid(c.relowner) = %(role)s,
               CASE c.relkind
               WHEN 'S' THEN array(SELECT p FROM unnest('{{SELECT,USAGE,UPDATE}}'::text[]) p
                                   WHERE has_sequence_privilege(%(role)s, c.oid, p))
               ELSE array(SELECT p FROM unnest('{{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER,REFERENCES}}'::text[]) p
                          WHERE has_table_privilege(%(role)s, c.oid, p)) END
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'S')
          AND NOT {of_extension("'pg_catalog.pg_class'::regclass", "c.oid")}
        ORDER BY 1
        """,
        {"role": role, "schemas": list(schemas), "history": HISTORY},
    )
    found = []
    for relation, is_history, is_sequence, owns, rights in cursor.fetchall():
        if owns:
            found.append(f"Role {role} owns {relation}.")
            continue
        wanted = (SEQUENCE_RIGHTS if is_sequence else TABLE_RIGHTS)[purpose]
        expected = {"SELECT"} if is_history else set(wanted.split(", "))
        if expected - set(rights):
            found.append(f"Role {role} lacks {', '.join(sorted(expected - set(rights)))} on {relation}.")
        if set(rights) - expected:
            found.append(f"Role {role} has {', '.join(sorted(set(rights) - expected))} on {relation}.")
    return found
