# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what in the application's database, and which environment the database belongs to.

The rules; a GRANT or a REVOKE is only sent where the catalogue says otherwise:

* The owner role owns the database and what the migrations make. It is the only one that may change the schema.
* The application role reads and writes rows; it can neither create nor drop, and writes no migration history.
* The read-only role reads.
* Nobody else may connect, and no right is everyone's, but to use what a schema holds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A line of the database's comment. It is part of no dump (pg_dump writes it with --create alone), so that a copy of the
# production database is never taken for production, and the database's owner may write it on managed servers too.
STAMP = "slipway.environment"

HISTORY = "_prisma_migrations"
TABLE_RIGHTS = {"application": "SELECT, INSERT, UPDATE, DELETE", "readonly": "SELECT"}
SEQUENCE_RIGHTS = {"application": "SELECT, USAGE", "readonly": "SELECT"}

# Pairs of a role's name and a right; see entries().
Held = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Roles:
    """Names of the three roles."""

    owner: str
    application: str
    readonly: str

    def clients(self) -> tuple[tuple[str, str], ...]:
        """The roles that own nothing, each with its kind."""
        return (("application", self.application), ("readonly", self.readonly))

    def grantees(self) -> tuple[tuple[str, str], ...]:
        """The clients, and as '' everyone, SQL's PUBLIC, to whom nothing is granted."""
        return (*self.clients(), ("everyone", ""))


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


def entries(acl: str, owner: str) -> str:
    """An SQL expression for what a list of rights says, as [[role, right], …]; a role of '' is everyone.

    Without the owner's own rights, and without what another than the owner granted, which that one alone can revoke.
    """
    return f"""
        coalesce((SELECT jsonb_agg(jsonb_build_array(coalesce(role.rolname, ''), entry.privilege_type))
                  FROM pg_catalog.aclexplode({acl}) entry LEFT JOIN pg_catalog.pg_roles role ON role.oid = entry.grantee
                  WHERE entry.grantor = {owner} AND entry.grantee <> {owner}), '[]')
    """


def balance(
    held: Held, role: str, wanted: str, target: str, shown: str, *, only: str = "", prefix: str = ""
) -> list[Statement]:
    """A GRANT when the role lacks a right of ``wanted``, and a REVOKE of those that it has beyond, or ``only`` of one.

    ``target`` is the object in SQL, ``shown`` the object in the sentence, ``prefix`` what stands before the statement.
    """
    has = {right for holder, right in held if holder == role}
    rights = set(filter(None, wanted.split(", ")))
    excess = ", ".join(sorted(has & {only} if only else has - rights))
    grantee = quote(role) if role else "PUBLIC"
    statements = []
    if rights - has:
        statements.append(
            Statement(f"{prefix}GRANT {wanted} ON {target} TO {grantee}", f"Granted {role} {wanted} on {shown}.")
        )
    if excess:
        # With what the role passed on.
        revoke = f"{prefix}REVOKE {excess} ON {target} FROM {grantee} CASCADE"
        statements.append(Statement(revoke, f"Took {excess} on {shown} from {role or 'everyone'}."))
    return statements


def database_rights(cursor: Cursor, database: str, roles: Roles) -> list[Statement]:
    """CONNECT for the three roles and for nobody else."""
    acl = entries("coalesce(datacl, pg_catalog.acldefault('d', datdba))", "datdba")
    cursor.execute(f"SELECT {acl} FROM pg_catalog.pg_database WHERE datname = current_database()")
    held = one_row(cursor)[0]
    return [
        statement
        for kind, role in roles.grantees()
        for statement in balance(
            held, role, "" if kind == "everyone" else "CONNECT", f"DATABASE {quote(database)}", f"database {database}"
        )
    ]


def schema_rights(cursor: Cursor, schema: str, roles: Roles) -> list[Statement]:
    """A schema that the two clients may use, and in which nobody but the owner creates anything."""
    cursor.execute(f"SELECT {entries('nspacl', 'nspowner')} FROM pg_catalog.pg_namespace WHERE nspname = %s", [schema])
    row = cursor.fetchone()
    statements = []
    if row is None:
        create = f"CREATE SCHEMA {quote(schema)} AUTHORIZATION {quote(roles.owner)}"
        statements.append(Statement(create, f"Created schema {schema}."))
    for kind, role in roles.grantees():
        # USAGE stays everyone's where it is: that is so of "public" from the start, and extensions count on it.
        statements += balance(
            row[0] if row else [],
            role,
            "" if kind == "everyone" else "USAGE",
            f"SCHEMA {quote(schema)}",
            f"schema {schema}",
            only="CREATE",
        )
    return statements


def default_rights(cursor: Cursor, schema: str, roles: Roles) -> list[Statement]:
    """What will be granted on tables and sequences that the owner makes later."""
    cursor.execute(
        f"""
        SELECT defaclobjtype::text, {entries("defaclacl", "defaclrole")} FROM pg_catalog.pg_default_acl
        WHERE defaclrole = to_regrole(%s)
          AND defaclnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %s)
        """,
        [quote(roles.owner), schema],
    )
    held = dict(cursor.fetchall())
    prefix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(roles.owner)} IN SCHEMA {quote(schema)} "
    return [
        statement
        for code, kind, rights in (("r", "TABLES", TABLE_RIGHTS), ("S", "SEQUENCES", SEQUENCE_RIGHTS))
        for purpose, role in roles.grantees()
        for statement in balance(
            held.get(code, []),
            role,
            rights.get(purpose, ""),
            kind,
            f"future {kind.lower()} in {schema}",
            prefix=prefix,
        )
    ]


def relation_rights(cursor: Cursor, schema: str, roles: Roles) -> list[Statement]:
    """What is wrong on tables, views and sequences that are there already. An extension's are its own business."""
    cursor.execute(
        f"""
        SELECT relname, relkind = 'S', {entries("relacl", "relowner")}
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
        WHERE nspname = %s AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          AND NOT {of_extension("'pg_catalog.pg_class'::regclass", "c.oid")}
        ORDER BY relkind = 'S', relname
        """,
        [schema],
    )
    statements = []
    for relation, is_sequence, held in cursor.fetchall():
        rights = SEQUENCE_RIGHTS if is_sequence else TABLE_RIGHTS
        for purpose, role in roles.grantees():
            statements += balance(
                held,
                role,
                rights["readonly"] if relation == HISTORY and role else rights.get(purpose, ""),
                f"{'SEQUENCE' if is_sequence else 'TABLE'} {quote(schema)}.{quote(relation)}",
                f"{schema}.{relation}",
            )
    return statements


def of_extension(catalogue: str, oid: str) -> str:
    """An SQL condition: the object belongs to an extension."""
    return f"""exists(SELECT FROM pg_catalog.pg_depend
                      WHERE classid = {catalogue} AND objid = {oid} AND deptype = 'e')"""
