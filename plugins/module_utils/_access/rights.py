# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what in the application's database, and which environment the database belongs to.

* The owner role owns the database and what the migrations make. It is the only one that may change the schema.
* The application role reads and writes rows; it can neither create nor drop, and writes no migration history.
* The read-only role reads.
* Nobody else may connect.

What the migrations say of rights wins. So the two client roles get theirs as default rights of the owner role, for
whatever it makes in whichever schema, and that once; objects that are there already get them when the database is new
to Slipway. After that, only what no migration is about is kept as it should be: that the roles may connect, and that
none but the owner writes the migration history or looks into Slipway's own schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# A line of the database's comment. It is part of no dump (pg_dump writes it with --create alone), so that a copy of the
# production database is never taken for production, and the database's owner may write it on managed servers too.
STAMP = "slipway.environment"
# Another such line for each former owner, whose name is a string of JSON.
FORMER = "slipway.former_owner"

HISTORY = "_prisma_migrations"
OWN_SCHEMA = "slipway"
# Where it is, the application enters that schema: its scheduled commands are noted there.
COMMAND_RUNS = f"{OWN_SCHEMA}.command_runs"
TABLE_RIGHTS = {"application": "SELECT, INSERT, UPDATE, DELETE", "readonly": "SELECT"}
SEQUENCE_RIGHTS = {"application": "SELECT, USAGE", "readonly": "SELECT"}
SCHEMA_RIGHTS = {"application": "USAGE", "readonly": "USAGE"}
DEFAULTS = {"SCHEMAS": SCHEMA_RIGHTS, "TABLES": TABLE_RIGHTS, "SEQUENCES": SEQUENCE_RIGHTS}

Clients = Sequence[tuple[str, str]]
# The functions that make and write large objects, which everyone may call and which ask nothing else of who makes one
# (manual sections 35.3 and 35.4).
LARGE_OBJECT_WRITERS = (
    "lo_creat", "lo_create", "lo_from_bytea", "lo_put", "lo_truncate", "lo_truncate64", "lo_unlink", "lowrite",
)  # fmt: skip

# SQL's PUBLIC, in place of a role's name.
EVERYONE = ""
# Pairs of a role's name and a right; see entries().
Held = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Roles:
    """Names of the three roles."""

    owner: str
    application: str
    readonly: str

    def clients(self) -> Clients:
        """The roles that own nothing, each with its kind."""
        return (("application", self.application), ("readonly", self.readonly))

    def insist_on_three(self) -> None:
        """Raise SlipwayError where two are one, which would have the rights and the password of both in turn."""
        for kind, role in self.clients():
            others = {"owner": self.owner, **dict(self.clients())}
            other = next(name for name, held in others.items() if held == role)
            if other != kind:
                raise SlipwayError(
                    f"Role {role!r} is to be both {other} and {kind}: nothing was changed; give the {kind} role "
                    "another name."
                )


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


def find_former(comment: str) -> list[str]:
    """The roles that owned the database before and still are members of its owner, by the database's comment."""
    return [json.loads(name) for name in re.findall(rf"^{FORMER}=(\".*\")$", comment, re.MULTILINE)]


def without_former(comment: str, role: str) -> str:
    """The comment without the line about a former owner."""
    return "\n".join(line for line in comment.split("\n") if line != f"{FORMER}={json.dumps(role)}")


def add_stamp(comment: str, environment: str, former: Sequence[str] = ()) -> str:
    """The comment with the environment's name, and that of each former owner, in a line of its own.

    What somebody else wrote there stays.
    """
    there = comment.split("\n")
    lines = [f"{STAMP}={environment}", *(f"{FORMER}={json.dumps(role)}" for role in former)]
    return "\n".join(filter(None, [comment, *(line for line in lines if line not in there)]))


def check_stamp(found: str, environment: str, database: str) -> None:
    """Raise SlipwayError when the database belongs to another environment."""
    if found not in ("", environment):
        raise SlipwayError(
            f"Database {database!r} belongs to environment {found!r} but this inventory is {environment!r}: "
            "nothing was changed; use the right inventory, or the right server in this one."
        )


def is_new(cursor: Cursor, roles: Roles) -> bool:
    """Whether the database is new to Slipway: it has no mark, or the client roles have no default rights in it."""
    if not stamp(cursor):
        return True
    return not any(default_scopes(cursor, roles.owner, role) for _kind, role in roles.clients())


def plan(cursor: Cursor, roles: Roles, environment: str, former: Sequence[str] = ()) -> list[SqlAction]:
    """Compare the catalogue with the rules and return the statements that are missing, in order.

    The ``former`` owners are noted where the database is marked.

    A role that does not exist has no right yet: check mode comes here before the roles are made.
    """
    cursor.execute("SELECT current_database()")
    database = one_row(cursor)[0]
    text = comment(cursor)
    found = find_stamp(text)
    check_stamp(found, environment, database)
    statements = []
    marked = add_stamp(text, environment, former)
    if marked != text:
        done = f"Marked database {database} as {environment}." if not found else f"Noted {', '.join(former)} there."
        statements.append(SqlAction(f"COMMENT ON DATABASE {quote(database)} IS {literal(marked)}", done))
    statements += database_rights(cursor, roles, new=not found)
    new = [(kind, role) for kind, role in roles.clients() if not default_scopes(cursor, roles.owner, role)]
    return statements + future_rights(cursor, roles) + rights_within(cursor, roles, new)


def future_rights(cursor: Cursor, roles: Roles) -> list[SqlAction]:
    """What the clients lack on what the owner makes later."""
    statements = []
    for kind, role in roles.clients():
        scopes = default_scopes(cursor, roles.owner, role)
        if "" not in scopes:
            statements += default_rights(kind, role, roles.owner, scopes)
    return statements


def rights_within(cursor: Cursor, roles: Roles, clients: Clients) -> list[SqlAction]:
    """What the ``clients`` lack on what is there already, and what nobody but the owner is to have."""
    return schema_rights(cursor, clients) + relation_rights(cursor, clients) + own_rights(cursor, roles)


def entries(acl: str, owner: str) -> str:
    """An SQL expression for what a list of rights says, as [[role, right], …]; a role of '' is everyone.

    Without the owner's own rights, and without what another than the owner granted, which that one alone can revoke.
    """
    return f"""
        coalesce((SELECT jsonb_agg(jsonb_build_array(coalesce(role.rolname, ''), entry.privilege_type))
                  FROM pg_catalog.aclexplode({acl}) entry LEFT JOIN pg_catalog.pg_roles role ON role.oid = entry.grantee
                  WHERE entry.grantor = {owner} AND entry.grantee <> {owner}), '[]')
    """


def rights_of(held: Held, role: str) -> set[str]:
    """The rights of one role, or of everyone, in a list of rights."""
    return {right for holder, right in held if holder == role}


def grant(held: Held, role: str, wanted: str, target: str, shown: str) -> list[SqlAction]:
    """A GRANT when the role lacks a right of ``wanted`` on ``target``, which is SQL; ``shown`` is it in words."""
    if set(wanted.split(", ")) <= rights_of(held, role):
        return []
    return [SqlAction(f"GRANT {wanted} ON {target} TO {quote(role)}", f"Granted {role} {wanted} on {shown}.")]


def revoke(held: Held, role: str, unwanted: Iterable[str], target: str, shown: str) -> list[SqlAction]:
    """A REVOKE of what the role, or everyone, has of ``unwanted``, with what the role passed on."""
    excess = ", ".join(sorted(rights_of(held, role).intersection(unwanted)))
    grantee = quote(role) if role else "PUBLIC"
    done = f"Took {excess} on {shown} from {role or 'everyone'}."
    return [SqlAction(f"REVOKE {excess} ON {target} FROM {grantee} CASCADE", done)] if excess else []


def on_database(cursor: Cursor) -> tuple[Held, str, str]:
    """What is granted on the current database; the database in SQL, and in words."""
    acl = entries("coalesce(datacl, pg_catalog.acldefault('d', datdba))", "datdba")
    cursor.execute(f"SELECT datname, {acl} FROM pg_catalog.pg_database WHERE datname = current_database()")
    database, held = one_row(cursor)
    return held, f"DATABASE {quote(database)}", f"database {database}"


def database_rights(cursor: Cursor, roles: Roles, new: bool) -> list[SqlAction]:
    """CONNECT for the three roles, and nothing for everyone else where the database is ``new`` to Slipway."""
    held, target, shown = on_database(cursor)
    statements = [
        statement for _kind, role in roles.clients() for statement in grant(held, role, "CONNECT", target, shown)
    ]
    return statements + (revoke(held, EVERYONE, rights_of(held, EVERYONE), target, shown) if new else [])


def default_scopes(cursor: Cursor, owner: str, role: str) -> list[str]:
    """The schemas in which the role has rights on what the owner makes later; '' stands for all of them."""
    cursor.execute(
        """
        SELECT DISTINCT coalesce(nspname, '')
        FROM pg_catalog.pg_default_acl LEFT JOIN pg_catalog.pg_namespace n ON n.oid = defaclnamespace,
             pg_catalog.aclexplode(defaclacl) entry
        WHERE defaclrole = to_regrole(%s) AND entry.grantee = to_regrole(%s) ORDER BY 1
        """,
        [quote(owner), quote(role)],
    )
    return [row[0] for row in cursor.fetchall()]


def default_rights(kind: str, role: str, owner: str, schemas: Sequence[str]) -> list[SqlAction]:
    """What is granted on all that the owner makes later, instead of in those ``schemas``, as an earlier Slipway did.

    Default rights of all schemas replace PostgreSQL's own, those of one schema can only add to them: a REVOKE of a
    migration counts against the former alone.
    """
    prefix = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(owner)}"
    statements = [
        SqlAction(
            f"{prefix} GRANT {rights[kind]} ON {word} TO {quote(role)}",
            f"Granted {role} {rights[kind]} on future {word.lower()}.",
        )
        for word, rights in DEFAULTS.items()
    ]
    return statements + [
        SqlAction(
            f"{prefix} IN SCHEMA {quote(schema)} REVOKE ALL ON {word} FROM {quote(role)}",
            f"Took from {role} what it had on future {word.lower()} of {schema} alone.",
        )
        for schema in schemas
        for word in ("TABLES", "SEQUENCES")
    ]


def schema_rights(cursor: Cursor, clients: Clients) -> list[SqlAction]:
    """The clients use each schema that is there, and neither they nor everyone create anything in it."""
    if not clients:
        return []
    cursor.execute(
        f"SELECT nspname, {entries('nspacl', 'nspowner')} FROM ({SCHEMAS}) n WHERE {within_reach('nspowner')}"
        " ORDER BY nspname"
    )
    statements = []
    for schema, held in cursor.fetchall():
        target, shown = f"SCHEMA {quote(schema)}", f"schema {schema}"
        for kind, role in clients:
            statements += grant(held, role, SCHEMA_RIGHTS[kind], target, shown)
            statements += revoke(held, role, {"CREATE"}, target, shown)
        # USAGE stays everyone's where it is: that is so of "public" from the start, and extensions count on it.
        statements += revoke(held, EVERYONE, {"CREATE"}, target, shown)
    return statements


def relation_rights(cursor: Cursor, clients: Clients) -> list[SqlAction]:
    """What the clients lack on tables, views and sequences that are there already. An extension's are its business."""
    if not clients:
        return []
    cursor.execute(
        f"""
        SELECT nspname, relname, relkind = 'S', {entries("relacl", "relowner")}
        FROM pg_catalog.pg_class c JOIN ({SCHEMAS}) n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relname <> %s
          AND NOT {of_extension("'pg_catalog.pg_class'::regclass", "c.oid")} AND {within_reach("relowner")}
        ORDER BY nspname, relkind = 'S', relname
        """,
        [HISTORY],
    )
    statements = []
    for schema, relation, is_sequence, held in cursor.fetchall():
        word, rights = ("SEQUENCE", SEQUENCE_RIGHTS) if is_sequence else ("TABLE", TABLE_RIGHTS)
        target = f"{word} {quote(schema)}.{quote(relation)}"
        for kind, role in clients:
            statements += grant(held, role, rights[kind], target, f"{schema}.{relation}")
    return statements


def own_rights(cursor: Cursor, roles: Roles) -> list[SqlAction]:
    """Migrations are not about their own history, which the clients only read, nor about Slipway's schema."""
    cursor.execute(
        f"""
        SELECT nspname, {entries("relacl", "relowner")}
        FROM pg_catalog.pg_class c JOIN ({SCHEMAS}) n ON n.oid = relnamespace
        WHERE relkind = 'r' AND relname = %s AND {within_reach("relowner")} ORDER BY nspname
        """,
        [HISTORY],
    )
    statements = []
    for schema, held in cursor.fetchall():
        target, shown = f"TABLE {quote(schema)}.{quote(HISTORY)}", f"{schema}.{HISTORY}"
        for _kind, role in roles.clients():
            statements += grant(held, role, "SELECT", target, shown)
            statements += revoke(held, role, rights_of(held, role) - {"SELECT"}, target, shown)
        statements += revoke(held, EVERYONE, rights_of(held, EVERYONE), target, shown)
    cursor.execute(
        f"SELECT {entries('nspacl', 'nspowner')}, to_regclass(%s) IS NOT NULL FROM pg_catalog.pg_namespace"
        " WHERE nspname = %s",
        [COMMAND_RUNS, OWN_SCHEMA],
    )
    for held, notes_runs in cursor.fetchall():
        target, shown = f"SCHEMA {OWN_SCHEMA}", f"schema {OWN_SCHEMA}"
        allowed = {"USAGE"} if notes_runs else set()
        statements += [part for right in allowed for part in grant(held, roles.application, right, target, shown)]
        for role in (roles.application, roles.readonly, EVERYONE):
            kept = allowed if role == roles.application else set()
            statements += revoke(held, role, rights_of(held, role) - kept, target, shown)
    return statements


def large_object_rights(cursor: Cursor, roles: Roles) -> list[SqlAction]:
    """On a server that is ours the owner and the application make and write large objects; the read-only role doesn't.

    The functions are the system's, so that only its superuser can do that, and no migration is about it.
    """
    cursor.execute(
        f"""
        SELECT oid::regprocedure::text, {entries("coalesce(proacl, pg_catalog.acldefault('f', proowner))", "proowner")}
        FROM pg_catalog.pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY(%s) ORDER BY 1
        """,
        [list(LARGE_OBJECT_WRITERS)],
    )
    found = cursor.fetchall()
    functions = ", ".join(name for name, _held in found)
    statements = [
        SqlAction(
            f"GRANT EXECUTE ON FUNCTION {functions} TO {quote(role)}",
            f"Granted {role} EXECUTE on the functions that write large objects.",
        )
        for role in (roles.owner, roles.application)
        if any("EXECUTE" not in rights_of(held, role) for _name, held in found)
    ]
    if any("EXECUTE" in rights_of(held, EVERYONE) for _name, held in found):
        statements.append(
            SqlAction(
                f"REVOKE EXECUTE ON FUNCTION {functions} FROM PUBLIC",
                "Took EXECUTE on the functions that write large objects from everyone.",
            )
        )
    return statements


def of_extension(catalogue: str, oid: str) -> str:
    """An SQL condition: the object belongs to an extension."""
    return f"""exists(SELECT FROM pg_catalog.pg_depend
                      WHERE classid = {catalogue} AND objid = {oid} AND deptype = 'e')"""


def within_reach(owner: str) -> str:
    """An SQL condition: what this role owns is for us to give and to grant; a superuser's is a superuser's alone."""
    return f"""exists(SELECT FROM pg_catalog.pg_roles his, pg_catalog.pg_roles me
                      WHERE his.oid = {owner} AND me.rolname = current_user AND (me.rolsuper OR NOT his.rolsuper))"""


# The schemas that are the application's: no system's, no extension's, and not Slipway's own.
SCHEMAS = f"""
    SELECT space.* FROM pg_catalog.pg_namespace space
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', '{OWN_SCHEMA}')
      AND NOT {of_extension("'pg_catalog.pg_namespace'::regclass", "space.oid")}
"""
