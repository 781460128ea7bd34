# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that comes from elsewhere, as Prisma made it: what other roles own in it becomes the owner's, once.

Who owned something there may be the role of a release that still serves. So it keeps all that it could do, as a member
of the owner, until a release of ours serves and it has no session left; the database's comment remembers it till then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.login_roles import membership
from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import (
    SCHEMAS,
    Roles,
    comment,
    find_former,
    is_new,
    of_extension,
    within_reach,
    without_former,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Everything that has an owner and is the application's. What is privileged a superuser alone can own, or can do more in
# a superuser's hands than in another's: it stays where it is.
# A serial or identity column's sequence follows its table, a row or array type what it is of, a multirange its range.
# Since version 15 "public" belongs to pg_database_owner, which is the database's owner (section 22.5).
_IN_SCHEMAS = f"""
    SELECT 'pg_catalog.pg_class'::regclass, oid, relnamespace, relowner, false
    FROM pg_catalog.pg_class c
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT exists(SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_class'::regclass
                     AND objid = c.oid AND c.relkind = 'S' AND deptype IN ('a', 'i'))
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, typnamespace, typowner, false
    FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = typrelid
    WHERE typtype IN ('e', 'd', 'r') OR c.relkind = 'c'
       OR typtype = 'b' AND NOT exists(SELECT FROM pg_catalog.pg_type element WHERE element.typarray = t.oid)
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, oid, pronamespace, proowner,
           prosecdef OR prorettype = 'pg_catalog.event_trigger'::regtype
    FROM pg_catalog.pg_proc p
    WHERE NOT exists(SELECT FROM pg_catalog.pg_depend WHERE classid = 'pg_catalog.pg_proc'::regclass
                     AND objid = p.oid AND deptype = 'i')
    {
    "".join(
        f'''
    UNION ALL
    SELECT 'pg_catalog.{catalogue}'::regclass, oid, {prefix}namespace, {prefix}owner, false
    FROM pg_catalog.{catalogue}'''
        for catalogue, prefix in {
            "pg_operator": "opr",
            "pg_opclass": "opc",
            "pg_opfamily": "opf",
            "pg_collation": "coll",
            "pg_conversion": "con",
            "pg_statistic_ext": "stx",
            "pg_ts_dict": "dict",
            "pg_ts_config": "cfg",
        }.items()
    )
}"""
# A schema that was made for an extension belongs to whoever keeps the extension.
_OF_DATABASE = f"""
    SELECT 'pg_catalog.pg_namespace'::regclass, oid, oid, nspowner, false
    FROM pg_catalog.pg_namespace n
    WHERE pg_catalog.pg_get_userbyid(nspowner) <> 'pg_database_owner'
      AND NOT (nspname <> 'public' AND oid IN (SELECT extnamespace FROM pg_catalog.pg_extension)
               AND NOT exists(SELECT FROM pg_catalog.pg_class c WHERE relnamespace = n.oid
                              AND NOT {of_extension("'pg_catalog.pg_class'::regclass", "c.oid")}))
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::regclass, oid, NULL, srvowner,
           NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)  -- needs rights on the wrapper
    FROM pg_catalog.pg_foreign_server
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, oid, NULL, fdwowner, true
    FROM pg_catalog.pg_foreign_data_wrapper
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::regclass, oid, NULL, evtowner, true FROM pg_catalog.pg_event_trigger
    UNION ALL
    SELECT 'pg_catalog.pg_language'::regclass, oid, NULL, lanowner, true FROM pg_catalog.pg_language
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass, published.oid, NULL, pubowner, owner.rolsuper
    FROM pg_catalog.pg_publication published JOIN pg_catalog.pg_roles owner ON owner.oid = pubowner
"""
# Everything that has an owner: what it is, in which schema, whose, and whether it is privileged.
OWNED = f"{_OF_DATABASE} UNION ALL {_IN_SCHEMAS}"
_OBJECTS = f"""
    SELECT identified.type, identified.identity, owner.rolname,
           NOT (privileged AND (owner.rolsuper OR catalogue <> 'pg_catalog.pg_proc'::regclass))
           AND {within_reach("owner.oid")}
    FROM ({OWNED}) found (catalogue, object, namespace, owner, privileged)
    JOIN pg_catalog.pg_roles owner ON owner.oid = found.owner,
    pg_catalog.pg_identify_object(catalogue, object, 0) identified
    WHERE (object >= 16384 OR identified.identity = 'public') AND owner.rolname <> %(owner)s
      AND (namespace IS NULL OR namespace IN (SELECT oid FROM ({SCHEMAS}) n))
      AND NOT {of_extension("catalogue", "object")}
    ORDER BY identified.type <> 'schema', 1, 2
"""
# Data that belongs to who made it, as the application goes on to do.
_LARGE_OBJECTS = f"""
    SELECT owner.rolname, array_agg(lo.oid::text ORDER BY lo.oid)
    FROM pg_catalog.pg_largeobject_metadata lo JOIN pg_catalog.pg_roles owner ON owner.oid = lomowner
    WHERE owner.rolname <> %s AND {within_reach("owner.oid")} GROUP BY 1 ORDER BY 1
"""
# What SQL calls a kind of objects, where that is not what the catalogue calls it.
WORDS = {"function": "ROUTINE", "procedure": "ROUTINE", "aggregate": "ROUTINE", "statistics object": "STATISTICS"}

# Who may connect only because everyone may, and has a right, an object or a session here.
_CONNECTING = """
    SELECT DISTINCT rolname
    FROM pg_catalog.pg_roles role, pg_catalog.pg_database d
    WHERE datname = current_database() AND NOT rolsuper AND rolname !~ '^pg_' AND rolname <> ALL(%s)
      AND NOT exists(SELECT FROM pg_catalog.aclexplode(coalesce(datacl, pg_catalog.acldefault('d', datdba))) entry
                     WHERE entry.grantee <> 0 AND pg_has_role(role.oid, entry.grantee, 'USAGE')
                       AND entry.privilege_type = 'CONNECT')
      AND exists(SELECT FROM pg_catalog.aclexplode(coalesce(datacl, pg_catalog.acldefault('d', datdba))) entry
                 WHERE entry.grantee = 0 AND entry.privilege_type = 'CONNECT')
      AND (exists(SELECT FROM pg_catalog.pg_shdepend
                  WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND refobjid = role.oid AND dbid = d.oid)
           OR exists(SELECT FROM pg_catalog.pg_stat_activity WHERE usesysid = role.oid AND datid = d.oid))
    ORDER BY 1
"""


def take_over(cursor: Cursor, database: str, roles: Roles) -> tuple[list[SqlAction], list[str], list[str]]:
    """Statements that give the owner what another role owns, the former owners, and a sentence for each left alone."""
    cursor.execute(
        "SELECT pg_catalog.pg_get_userbyid(datdba), current_user FROM pg_catalog.pg_database"
        " WHERE datname = current_database()"
    )
    former_owner, administrator = one_row(cursor)
    cursor.execute(_OBJECTS, {"owner": roles.owner})
    found = cursor.fetchall()
    given = [(kind, identity, owner) for kind, identity, owner, can_be in found if can_be]
    owners = sorted({owner for _kind, _identity, owner in given} | ({former_owner} - {roles.owner}))
    statements = [statement for owner in owners for statement in membership(cursor, owner)]
    former = [owner for owner in owners if owner != administrator and may_be_member(cursor, owner, roles.owner)]
    cursor.execute(_CONNECTING, [[roles.owner, roles.application, roles.readonly, administrator, *former]])
    statements += [
        SqlAction(
            f"GRANT CONNECT ON DATABASE {quote(database)} TO {quote(role)}",
            f"Let {role}, which has rights or a session in database {database}, connect to it as before.",
        )
        for (role,) in cursor.fetchall()
    ]
    inherit = " WITH INHERIT TRUE" if cursor.connection.server_version >= 160000 else ""
    statements += [
        SqlAction(
            f"GRANT {quote(roles.owner)} TO {quote(owner)}{inherit}",
            f"Let {owner}, which owned what is here, do all that it could, as a member of {roles.owner}, until a "
            "release serves that does without it.",
        )
        for owner in former
    ]
    if former_owner != roles.owner:
        give = f"ALTER DATABASE {quote(database)} OWNER TO {quote(roles.owner)}"
        statements.append(SqlAction(give, f"Gave database {database} to {roles.owner}."))
    statements += [
        SqlAction(
            f"ALTER {WORDS.get(kind, kind.upper())} {identity} OWNER TO {quote(roles.owner)}",
            f"Gave {kind} {identity} to {roles.owner}.",
        )
        for kind, identity, _owner in given
    ]
    cursor.execute(_LARGE_OBJECTS, [roles.application])
    for owner, objects in cursor.fetchall():
        what = f"{len(objects)} large object{'s' if len(objects) > 1 else ''} of {owner}"
        grant = f"GRANT SELECT, UPDATE ON LARGE OBJECT {', '.join(objects)} TO {quote(roles.application)}"
        statements.append(SqlAction(grant, f"Granted {roles.application} SELECT, UPDATE on {what}."))
    left = [
        f"{kind[0].upper()}{kind[1:]} {identity} stays {owner}'s."
        for kind, identity, owner, can_be in found
        if not can_be
    ]
    return statements, former, left


def may_be_member(cursor: Cursor, role: str, owner: str) -> bool:
    """Whether membership in the owner would give the role something, and is possible."""
    cursor.execute(
        """
        SELECT rolsuper OR coalesce(pg_has_role(to_regrole(%(owner)s), oid, 'MEMBER'), false)
               OR coalesce(pg_has_role(oid, to_regrole(%(owner)s), 'USAGE'), false)
        FROM pg_catalog.pg_roles WHERE rolname = %(role)s
        """,
        {"owner": quote(owner), "role": role},
    )
    return not one_row(cursor)[0]


def revoke_former_owners(cursor: Cursor, database: str, roles: Roles) -> tuple[list[SqlAction], list[str]]:
    """Statements that end what former owners kept, now that another release serves; a sentence for each still in use.

    The application's own role may have been the owner: what serves now does without that.
    """
    text = comment(cursor)
    statements, in_use = [], []
    for role in find_former(text):
        cursor.execute(
            """
            SELECT (SELECT count(*) FROM pg_catalog.pg_stat_activity
                    WHERE usename = %(role)s AND datname = current_database()),
                   coalesce(pg_has_role(to_regrole(%(member)s), to_regrole(%(owner)s), 'MEMBER'), false)
            """,
            {"role": role, "member": quote(role), "owner": quote(roles.owner)},
        )
        sessions, member = one_row(cursor)
        if sessions and role != roles.application:
            in_use.append(
                f"Role {role}, which owned database {database} before, still has {sessions} session"
                f"{'s' if sessions > 1 else ''} in it, so it keeps its rights: end what logs in as it."
            )
            continue
        if member:
            done = (
                f"Took from {role}, which owned database {database} before and has no session left, its membership in "
            )
            statements.append(SqlAction(f"REVOKE {quote(roles.owner)} FROM {quote(role)}", f"{done}{roles.owner}."))
        text = without_former(text, role)
        statements.append(
            SqlAction(
                f"COMMENT ON DATABASE {quote(database)} IS {literal(text)}",
                f"Noted that {role} is no former owner of database {database} any more.",
            )
        )
    return statements, in_use


def settle(
    cursor: Cursor, database: str, roles: Roles, released: bool
) -> tuple[bool, list[SqlAction], list[str], list[str]]:
    """What is to be done about other owners: take over a database that is new to Slipway, let go of former owners
    once the new release serves.

    Returns whether the database is new, the statements, the former owners to note, and remarks.
    """
    if is_new(cursor, roles):
        return True, *take_over(cursor, database, roles)
    if released:
        statements, remarks = revoke_former_owners(cursor, database, roles)
        return False, statements, [], remarks
    return False, [], [], []
