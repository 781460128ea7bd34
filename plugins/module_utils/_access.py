# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what in the application's database, and which environment the database belongs to.

The rules, each a statement that is only sent when the catalogue says that it is missing:

* The owner role owns the database and what the migrations make. It is the only one that may change the schema.
* The application role reads and writes rows; it can neither create nor drop, and writes no migration history.
* The read-only role reads.
* Nobody else may connect.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

# A line of the database's comment. It is part of no dump (pg_dump writes it with --create alone), so that a copy of the
# production database is never taken for production, and the database's owner may write it on managed servers too.
STAMP = "slipway.environment"

HISTORY = "_prisma_migrations"
TABLE_RIGHTS = {"application": "SELECT, INSERT, UPDATE, DELETE", "readonly": "SELECT"}
SEQUENCE_RIGHTS = {"application": "SELECT, USAGE", "readonly": "SELECT"}


@dataclass(frozen=True)
class Roles:
    """Names of the three roles."""

    owner: str
    application: str
    readonly: str

    def clients(self) -> tuple[tuple[str, str], ...]:
        """The roles that own nothing, each with its kind."""
        return (("application", self.application), ("readonly", self.readonly))


@dataclass(frozen=True)
class Statement:
    """A statement to send, and the past-tense sentence that reports it. One with a ``secret`` is never shown."""

    sql: str
    done: str
    secret: bool = False

    @property
    def shown(self) -> str:
        return f"-- {self.done}" if self.secret else f"{self.sql};"


def quote(identifier: str) -> str:
    """A name as an identifier in SQL (manual section 4.1.1)."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as a string constant in SQL, with standard_conforming_strings on (manual section 4.1.2)."""
    return "'" + text.replace("'", "''") + "'"


def stamp(cursor: Cursor) -> str:
    """The environment's name that the database carries, or '' when it carries none."""
    return find_stamp(comment(cursor))


def comment(cursor: Cursor, database: str | None = None) -> str:
    """The comment of a database, by default the current one, or '' when it has none or does not exist."""
    cursor.execute(
        "SELECT coalesce((SELECT pg_catalog.shobj_description(oid, 'pg_database') FROM pg_catalog.pg_database"
        " WHERE datname = coalesce(%s, current_database())), '')",
        [database],
    )
    return str(one_row(cursor)[0])


def find_stamp(comment: str) -> str:
    """The environment's name in a database's comment, or ''."""
    found = re.search(rf"^{STAMP}=(\S+)$", comment, re.MULTILINE)
    return found.group(1) if found else ""


def add_stamp(comment: str, environment: str) -> str:
    """The comment with the environment's name in a line of its own; what somebody else wrote there stays."""
    return "\n".join(filter(None, [comment, f"{STAMP}={environment}"]))


def check_stamp(found: str, environment: str, database: str) -> None:
    """Raise SlipwayError when the database belongs to another environment."""
    if found not in ("", environment):
        raise SlipwayError(
            f"Database {database!r} belongs to environment {found!r} but this inventory is {environment!r}: "
            "nothing was changed; use the right inventory, or the right login_* settings in this one."
        )


def plan(cursor: Cursor, roles: Roles, schemas: Sequence[str], environment: str) -> list[Statement]:
    """Compare the catalogue with the rules and return the statements that are missing, in order.

    A role that does not exist has no right yet: check mode comes here before the roles are made.
    """
    cursor.execute("SELECT current_database()")
    database = one_row(cursor)[0]
    text = comment(cursor)
    found = find_stamp(text)
    check_stamp(found, environment, database)
    statements = []
    if not found:
        statements.append(
            Statement(
                f"COMMENT ON DATABASE {quote(database)} IS {literal(add_stamp(text, environment))}",
                f"Marked database {database} as {environment}.",
            )
        )
    statements += database_rights(cursor, database, roles)
    for schema in schemas:
        statements += schema_rights(cursor, schema, roles)
        statements += default_rights(cursor, schema, roles)
        statements += relation_rights(cursor, schema, roles)
    return statements


def database_rights(cursor: Cursor, database: str, roles: Roles) -> list[Statement]:
    """CONNECT for the three roles and for nobody else."""
    cursor.execute(
        """
        SELECT exists(SELECT FROM pg_catalog.aclexplode(coalesce(datacl, pg_catalog.acldefault('d', datdba)))
                      WHERE grantee = 0)
        FROM pg_catalog.pg_database WHERE datname = current_database()
        """
    )
    statements = []
    if one_row(cursor)[0]:
        statements.append(
            Statement(
                f"REVOKE ALL ON DATABASE {quote(database)} FROM PUBLIC", f"Closed database {database} to other roles."
            )
        )
    for _kind, role in roles.clients():
        # Without PUBLIC's right, which the statement above takes away.
        cursor.execute(
            """
            SELECT exists(SELECT FROM pg_catalog.pg_database, pg_catalog.aclexplode(datacl)
                          WHERE datname = current_database() AND grantee = to_regrole(%s)
                            AND privilege_type = 'CONNECT')
            """,
            [quote(role)],
        )
        if not one_row(cursor)[0]:
            statements.append(
                Statement(
                    f"GRANT CONNECT ON DATABASE {quote(database)} TO {quote(role)}",
                    f"Let {role} connect to database {database}.",
                )
            )
    return statements


def schema_rights(cursor: Cursor, schema: str, roles: Roles) -> list[Statement]:
    """The owner's schema, usable by the two others, in which nobody else creates anything."""
    name, owner = quote(schema), quote(roles.owner)
    cursor.execute(
        """
        SELECT pg_catalog.pg_get_userbyid(nspowner),
               exists(SELECT FROM pg_catalog.aclexplode(coalesce(nspacl, pg_catalog.acldefault('n', nspowner)))
                      WHERE grantee = 0 AND privilege_type = 'CREATE')
        FROM pg_catalog.pg_namespace WHERE nspname = %s
        """,
        [schema],
    )
    row = cursor.fetchone()
    if row is None:
        statements = [Statement(f"CREATE SCHEMA {name} AUTHORIZATION {owner}", f"Created schema {schema}.")]
    else:
        statements = []
        # Since version 15 "public" belongs to pg_database_owner, which is the database's owner (section 22.5).
        if row[0] not in (roles.owner, "pg_database_owner"):
            statements.append(
                Statement(f"ALTER SCHEMA {name} OWNER TO {owner}", f"Gave schema {schema} to {roles.owner}.")
            )
        if row[1]:
            statements.append(
                Statement(f"REVOKE CREATE ON SCHEMA {name} FROM PUBLIC", f"Closed schema {schema} to new objects.")
            )
    for _kind, role in roles.clients():
        cursor.execute(
            """
            SELECT exists(SELECT FROM pg_catalog.pg_namespace, pg_catalog.aclexplode(nspacl)
                          WHERE nspname = %s AND grantee = to_regrole(%s) AND privilege_type = 'USAGE')
            """,
            [schema, quote(role)],
        )
        if not one_row(cursor)[0]:
            statements.append(
                Statement(f"GRANT USAGE ON SCHEMA {name} TO {quote(role)}", f"Let {role} use schema {schema}.")
            )
    return statements


def default_rights(cursor: Cursor, schema: str, roles: Roles) -> list[Statement]:
    """What the two roles will be granted on tables and sequences that the owner makes later."""
    statements = []
    for code, kind, rights in (("r", "TABLES", TABLE_RIGHTS), ("S", "SEQUENCES", SEQUENCE_RIGHTS)):
        for purpose, role in roles.clients():
            cursor.execute(
                """
                SELECT array_agg(acl.privilege_type::text)
                FROM pg_catalog.pg_default_acl d, pg_catalog.aclexplode(d.defaclacl) acl
                WHERE d.defaclrole = to_regrole(%s) AND d.defaclobjtype = %s AND acl.grantee = to_regrole(%s)
                  AND d.defaclnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %s)
                """,
                [quote(roles.owner), code, quote(role), schema],
            )
            found = set(one_row(cursor)[0] or [])
            if not set(rights[purpose].split(", ")) <= found:
                statements.append(
                    Statement(
                        f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(roles.owner)} IN SCHEMA {quote(schema)} "
                        f"GRANT {rights[purpose]} ON {kind} TO {quote(role)}",
                        f"Granted {role} {rights[purpose]} on future {kind.lower()} in {schema}.",
                    )
                )
    return statements


def relation_rights(cursor: Cursor, schema: str, roles: Roles) -> list[Statement]:
    """What the two roles lack on tables, views and sequences that are there already (made before Slipway came)."""
    statements = []
    for kinds, rights in (("rpvmf", TABLE_RIGHTS), ("S", SEQUENCE_RIGHTS)):
        for purpose, role in roles.clients():
            wanted = rights[purpose]
            cursor.execute(
                """
                SELECT c.relname, c.relname = %(history)s
                FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = %(schema)s AND position(c.relkind::text IN %(kinds)s) > 0
                  AND NOT (SELECT coalesce(array_agg(acl.privilege_type::text), '{}')
                           FROM pg_catalog.aclexplode(c.relacl) acl WHERE acl.grantee = to_regrole(%(role)s))
                      @> CASE WHEN c.relname = %(history)s THEN '{SELECT}'::text[] ELSE %(wanted)s::text[] END
                ORDER BY c.relname
                """,
                {
                    "schema": schema,
                    "kinds": kinds,
                    "role": quote(role),
                    "history": HISTORY,
                    "wanted": wanted.split(", "),
                },
            )
            for relation, is_history in cursor.fetchall():
                granted = "SELECT" if is_history else wanted
                statements.append(
                    Statement(
                        f"GRANT {granted} ON {'SEQUENCE' if kinds == 'S' else 'TABLE'} "
                        f"{quote(schema)}.{quote(relation)} TO {quote(role)}",
                        f"Granted {role} {granted} on {schema}.{relation}.",
                    )
                )
    return statements
