# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the application's schemas, and whether each role can do what it is for and change nothing of the schema.

What the migrations say of rights wins, and is told from what was done by hand by the snapshot of the schema that was
recorded after them. So no list of rights is fixed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import (
    HISTORY,
    SCHEMAS,
    Roles,
    comment,
    find_former,
    of_extension,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    batches,
    connection,
    one_row,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A table that the planner's statistics put above this many rows is not counted but estimated (section 14.2).
COUNT_LIMIT = 1_000_000
# A setting of the server, to be told should row-level security hide anything all the same.
UNHIDDEN = {"row_security": "off"}
# How many tables a sentence names.
NAMED = 5

_OF_EXTENSION = of_extension("'pg_catalog.pg_class'::regclass", "c.oid")


# The rows of a partitioned table are those of its partitions, each read as a table of its own.
_TABLES = f"""
    WITH RECURSIVE part AS (
        SELECT c.oid AS root, n.oid AS space, n.nspname AS schema, c.*
        FROM pg_catalog.pg_class c JOIN ({SCHEMAS}) n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> %s AND NOT {_OF_EXTENSION}
        UNION ALL
        SELECT part.root, n.oid, n.nspname, c.* FROM part JOIN pg_catalog.pg_inherits i ON i.inhparent = part.oid
        JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE part.relkind = 'p')
    SELECT n.nspname, c.relname, sum(greatest(part.reltuples, 0))::bigint,
           sum(pg_catalog.pg_total_relation_size(part.oid))::bigint,
           array_agg(pg_catalog.format('%%I.%%I', part.schema, part.relname)) FILTER (WHERE part.relkind <> 'p'),
           min(CASE WHEN NOT has_schema_privilege(part.space, 'USAGE') OR NOT has_table_privilege(part.oid, 'SELECT')
                    THEN format('role %%s may not read it', current_user)
                    WHEN row_security_active(part.oid)
                    THEN format('row-level security hides rows of it from role %%s', current_user) END
           ) FILTER (WHERE part.relkind <> 'p'),
           sum(pg_catalog.pg_relation_size(part.oid)) = 0 AND bool_and(part.relkind IN ('r', 'p'))
    FROM part JOIN pg_catalog.pg_class c ON c.oid = part.root
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class Table:
    """A table with its number of rows.

    ``exact`` is False where the number is the planner's estimate. Where ``hidden`` gives a reason, it is not known.
    """

    schema: str
    name: str
    rows: int | None
    exact: bool
    bytes: int
    hidden: str = ""


def tables(cursor: Cursor) -> list[Table]:
    """The application's ordinary and partitioned tables in order of their names, without the migration history.

    No row is ever hidden from a count: a table that row-level security hides rows of from this role is not counted,
    unless it takes no space at all, nor is one that this role may not read. The cursor is on autocommit, or the locks
    of all tables are held until its transaction ends.
    """
    cursor.execute(_TABLES, [HISTORY])
    found = cursor.fetchall()
    rows = count(
        cursor,
        [
            name
            for *_, estimate, _, stored, hidden, _void in found
            if estimate <= COUNT_LIMIT and not hidden
            for name in stored or []
        ],
    )
    result = []
    for schema, name, estimate, size, stored, hidden, void in found:
        table = Table(schema, name, estimate, exact=estimate <= COUNT_LIMIT, bytes=size)
        if hidden:
            table = replace(table, rows=0 if void else None, exact=void, hidden="" if void else hidden)
        elif table.exact:
            table = replace(table, rows=sum(rows[each] for each in stored or []))
        result.append(table)
    return result


def all_tables(cursor: Cursor, server: Server, other: Mapping[str, str] | None) -> list[Table]:
    """The tables; those that the role can't count, counted as the ``other`` (login_user, login_password), if it can."""
    found = tables(cursor)
    if not other or not any(table.hidden for table in found):
        return found
    with connection(server.by(other), **UNHIDDEN) as opened, opened.cursor() as counting:
        opened.set_session(readonly=True, autocommit=True)
        seen = {(table.schema, table.name): table for table in tables(counting)}
    return [seen.get((table.schema, table.name), table) if table.hidden else table for table in found]


def count(cursor: Cursor, relations: Sequence[str]) -> dict[str, int]:
    """The number of rows in each of the relations, whose names are quoted, a batch at a time."""
    rows: dict[str, int] = {}
    for batch in batches(relations):
        cursor.execute("SELECT " + ", ".join(f"(SELECT pg_catalog.count(*) FROM {name})" for name in batch))
        rows.update(zip(batch, one_row(cursor)))
    return rows


@dataclass(frozen=True)
class Rights:
    """What the snapshot of the schema says of rights; nothing where none can be compared with."""

    known: Mapping[str, str] | None = None

    def given(self, target: str, roles: Sequence[str], right: str) -> bool:
        """Whether the migrations, or Slipway before them, gave one of the roles a right there; any right, for ''."""
        texts = [(self.known or {}).get(f"rights on {target} for {role}") for role in roles]
        return any(not right or right in text.replace("*", "").split(", ") for text in texts if text)


def violations(cursor: Cursor, roles: Roles, rights: Rights) -> tuple[list[str], list[str]]:
    """A sentence for each way in which a client role can change the schema or can't work; and some only to be told."""
    found: list[str] = []
    remarks: list[str] = []
    former = find_former(comment(cursor))
    for purpose, role in roles.clients():
        superuser, member = unlimited(cursor, role, roles.owner)
        if superuser is None:
            found.append(f"Role {role} does not exist.")
        elif member and role in former:
            remarks.append(
                f"Role {role} owned the database before and is a member of {roles.owner} until a later deploy."
            )
        elif superuser or member:
            found.append(f"Role {role} is a {'superuser' if superuser else f'member of {roles.owner}'}.")
        else:
            found += attribute_violations(cursor, role)
            found += ownership_violations(cursor, role)
            found += schema_violations(cursor, role, rights)
            found += relation_violations(cursor, role, roles.owner, rights)
            (found if purpose == "application" else remarks).extend(row_security_violations(cursor, role))
    return found, remarks


def unlimited(cursor: Cursor, role: str, owner: str) -> tuple[bool | None, bool]:
    """Whether the role is a superuser, None where there is no such role, and whether it is a member of the owner."""
    cursor.execute(
        """
        SELECT rolsuper, exists(SELECT FROM pg_catalog.pg_roles o
                                WHERE o.rolname = %s AND pg_has_role(r.oid, o.oid, 'MEMBER'))
        FROM pg_catalog.pg_roles r WHERE rolname = %s
        """,
        [owner, role],
    )
    row = cursor.fetchone()
    return row if row else (None, False)


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
    says = (
        "may create databases", "may create roles", "may replicate", "bypasses row-level security", "may not connect",
    )  # fmt: skip
    return [f"Role {role} {what}." for wrong, what in zip(one_row(cursor), says) if wrong]


def ownership_violations(cursor: Cursor, role: str) -> list[str]:
    """A client role owns nothing but large objects, which are data, and what is temporary."""
    cursor.execute(
        """
        SELECT found.type, found.identity
        FROM pg_catalog.pg_shdepend d, pg_catalog.pg_identify_object(classid, objid, objsubid) found
        WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = to_regrole(%s) AND deptype = 'o'
          AND classid <> 'pg_catalog.pg_largeobject'::regclass
          AND (dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
               OR classid = 'pg_catalog.pg_database'::regclass AND found.identity = quote_ident(current_database()))
          AND coalesce(found.schema, '') !~ '^pg_(toast_)?temp'
        ORDER BY 1, 2
        """,
        [quote(role)],
    )
    return [f"Role {role} owns {kind} {identity}." for kind, identity in cursor.fetchall()]


def schema_violations(cursor: Cursor, role: str, rights: Rights) -> list[str]:
    """A client role uses the schemas and creates none, nor anything in them, unless the migrations say otherwise."""
    found = []
    cursor.execute(
        "SELECT current_database(), %(quoted)s::regrole::text,"
        " has_database_privilege(%(role)s, current_database(), 'CREATE')",
        {"role": role, "quoted": quote(role)},
    )
    database, name, create = one_row(cursor)
    if create and not rights.given("database", (name, "PUBLIC"), "CREATE"):
        found.append(f"Role {role} may create schemas in database {database}, which no migration says: REVOKE that.")
    cursor.execute(
        f"""
        SELECT nspname, 'schema ' || quote_ident(nspname),
               has_schema_privilege(%(role)s, oid, 'USAGE') OR NOT exists(
                   SELECT FROM pg_catalog.pg_class c WHERE relnamespace = n.oid AND relkind IN ('r', 'p', 'v', 'm', 'f')
                   AND NOT {_OF_EXTENSION}),
               has_schema_privilege(%(role)s, oid, 'CREATE')
        FROM ({SCHEMAS}) n ORDER BY nspname
        """,
        {"role": role},
    )
    for schema, target, use, create in cursor.fetchall():
        if not use and (rights.known is None or rights.given(target, (name, "PUBLIC"), "USAGE")):
            found.append(
                f"Role {role} may not use schema {schema}: GRANT it USAGE in a migration, or REVOKE it in one where "
                "that is meant."
            )
        if create and not rights.given(target, (name, "PUBLIC"), "CREATE"):
            found.append(f"Role {role} may create objects in schema {schema}, which no migration says: REVOKE that.")
    return found


def relation_violations(cursor: Cursor, role: str, owner: str, rights: Rights) -> list[str]:
    """A client role can do something with each of the owner's tables, unless the migrations say something else."""
    cursor.execute(
        f"""
        SELECT n.nspname || '.' || c.relname, format('%%I.%%I', n.nspname, c.relname), %(quoted)s::regrole::text
        FROM pg_catalog.pg_class c JOIN ({SCHEMAS}) n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_catalog.pg_get_userbyid(c.relowner) = %(owner)s
          AND NOT has_any_column_privilege(%(role)s, c.oid, 'SELECT, INSERT, UPDATE')
          AND NOT has_table_privilege(%(role)s, c.oid, 'DELETE') AND NOT {_OF_EXTENSION}
        ORDER BY 1
        """,
        {"role": role, "quoted": quote(role), "owner": owner},
    )
    found = [
        relation
        for relation, target, name in cursor.fetchall()
        if rights.known is None or rights.given(target, (name, "PUBLIC"), "")
    ]
    if not found:
        return []
    return [
        f"Role {role} has no right on {listed(found)}: GRANT what it needs in a migration, or REVOKE ALL in one where "
        "that is meant."
    ]


def row_security_violations(cursor: Cursor, role: str) -> list[str]:
    """Tables on which a client role has rights but, for want of any policy for it, sees and writes no row."""
    cursor.execute(
        f"""
        SELECT n.nspname || '.' || c.relname
        FROM pg_catalog.pg_class c JOIN ({SCHEMAS}) n ON n.oid = c.relnamespace, pg_catalog.pg_roles role
        WHERE rolname = %(role)s AND c.relrowsecurity AND NOT c.relispartition AND c.relname <> %(history)s
          AND NOT rolbypassrls AND NOT rolsuper AND NOT (
              pg_has_role(role.oid, c.relowner, 'USAGE') AND NOT c.relforcerowsecurity)
          AND (has_any_column_privilege(role.oid, c.oid, 'SELECT, INSERT, UPDATE')
               OR has_table_privilege(role.oid, c.oid, 'DELETE'))
          AND NOT exists(SELECT FROM pg_catalog.pg_policy, unnest(polroles) AS named
                         WHERE polrelid = c.oid AND polpermissive
                           AND (named = 0 OR pg_has_role(role.oid, named, 'USAGE')))
          AND NOT {_OF_EXTENSION}
        ORDER BY 1
        """,
        {"role": role, "history": HISTORY},
    )
    found = [row[0] for row in cursor.fetchall()]
    if not found:
        return []
    return [
        f"Row-level security shows role {role} no row of {listed(found)}, and lets it write none, since no policy is "
        f"for it: in a migration, CREATE POLICY … TO {quote(role)}, or DISABLE ROW LEVEL SECURITY, or REVOKE ALL … "
        f"FROM {quote(role)} where that is meant."
    ]


def listed(names: Sequence[str]) -> str:
    """The first few of the names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
