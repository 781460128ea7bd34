# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's login roles and its database: what the server lacks of them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
import stringprep
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    LoginRefusedError,
    Server,
    connect,
    one_row,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote

with contextlib.suppress(ImportError):  # where the target lacks it, connect() says so
    from psycopg2.extensions import encrypt_password

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):(.+)")
# What a login role of an application must not have, by the column that tells.
FORBIDDEN = {
    "rolsuper": "SUPERUSER",
    "rolcreatedb": "CREATEDB",
    "rolcreaterole": "CREATEROLE",
    "rolreplication": "REPLICATION",
    "rolbypassrls": "BYPASSRLS",
}


# What SASLprep prohibits, and what Unicode 3.2 did not know (RFC 4013 sections 2.3 and 2.5).
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def saslprep(password: str) -> str:
    """A password as PostgreSQL and libpq hash it (RFC 4013); one that the rules do not allow is hashed as it is.

    As their ``pg_saslprep``, it judges the characters before they are normalized.
    """
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(each) else each for each in password if not stringprep.in_table_b1(each)
    )
    if not mapped or any(prohibited(each) for each in mapped for prohibited in _PROHIBITED):
        return password
    if any(map(stringprep.in_table_d1, mapped)):  # written from right to left
        whole = stringprep.in_table_d1(mapped[0]) and stringprep.in_table_d1(mapped[-1])
        if not whole or any(map(stringprep.in_table_d2, mapped)):
            return password
    return unicodedata.normalize("NFKC", mapped)


def is_password(password: str, verifier: str) -> bool:
    """Whether a stored SCRAM-SHA-256 verifier is this password's (RFC 5802 section 3; manual section 54.3 pg_authid).

    An md5 verifier is never: it is to be replaced.
    """
    parts = VERIFIER.fullmatch(verifier)
    if parts is None:
        return False
    iterations, salt, stored_key = int(parts[1]), base64.b64decode(parts[2]), base64.b64decode(parts[3])
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), stored_key)


def plan_roles(cursor: Cursor, server: Server, passwords: Mapping[str, str | None]) -> list[SqlAction]:
    """Statements for roles that are missing, can do too much, or have another password.

    A password is sent as its verifier, so that no log of the server ever holds it. A role whose password is None is
    not made to log in, and goes on doing so where it does.
    """
    cursor.execute("SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')")
    sees_verifiers = one_row(cursor)[0]
    statements = []
    for role, password in passwords.items():
        cursor.execute(
            f"SELECT rolcanlogin, {', '.join(FORBIDDEN)} FROM pg_catalog.pg_roles WHERE rolname = %s", [role]
        )
        row = cursor.fetchone()
        if password is None:
            if row is None:
                statements.append(SqlAction(f"CREATE ROLE {quote(role)}", f"Created role {role}."))
            else:
                statements += without_attributes(role, row[1:])
            continue
        verifier = literal(str(encrypt_password(password, role, cursor.connection, "scram-sha-256")))
        if row is None:
            create = f"CREATE ROLE {quote(role)} LOGIN PASSWORD {verifier}"
            statements.append(SqlAction(create, f"Created role {role}.", secret=True))
            continue
        statements += without_attributes(role, row[1:], () if row[0] else ("LOGIN",))
        known = verifier_of(cursor, role) if sees_verifiers else None
        if not (password_works(server, role, password) if known is None else is_password(password, known)):
            change = f"ALTER ROLE {quote(role)} PASSWORD {verifier}"
            statements.append(SqlAction(change, f"Changed the password of role {role}.", secret=True))
    return statements


def without_attributes(role: str, held: Sequence[bool], more: Sequence[str] = ()) -> list[SqlAction]:
    """A statement that takes from the role what it has of ``FORBIDDEN`` and gives it ``more``, where there is any."""
    wrong = [*more, *(f"NO{attribute}" for has, attribute in zip(held, FORBIDDEN.values()) if has)]
    change = f"ALTER ROLE {quote(role)} {' '.join(wrong)}"
    return [SqlAction(change, f"Made role {role} {', '.join(wrong)}.")] if wrong else []


def verifier_of(cursor: Cursor, role: str) -> str:
    """The stored verifier of a role's password, '' when it has none."""
    cursor.execute("SELECT coalesce(rolpassword, '') FROM pg_catalog.pg_authid WHERE rolname = %s", [role])
    return str(one_row(cursor)[0])


def password_works(server: Server, role: str, password: str) -> bool:
    """Whether the server accepts the password: the way to know it where verifiers can't be read.

    Raises SlipwayError when it is not known, since the server said something else.
    """
    try:
        connect(replace(server, user=role, password=password)).close()
    except LoginRefusedError:
        return False
    return True


def plan_database(cursor: Cursor, database: str, owner: str) -> list[SqlAction]:
    """Statements for a database that is missing."""
    cursor.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [database])
    if cursor.rowcount:
        return membership(cursor, owner)
    create = f"CREATE DATABASE {quote(database)} OWNER {quote(owner)}"
    return [*membership(cursor, owner), SqlAction(create, f"Created database {database}.")]


def close_system_databases(cursor: Cursor) -> list[SqlAction]:
    """On a server that is ours nobody has business in the databases that come with it, but for its administrator."""
    cursor.execute(
        """
        SELECT datname FROM pg_catalog.pg_database
        WHERE datname IN ('postgres', 'template1')
          AND exists(SELECT FROM pg_catalog.aclexplode(coalesce(datacl, pg_catalog.acldefault('d', datdba))) entry
                     WHERE entry.grantee = 0 AND entry.privilege_type = 'CONNECT')
        ORDER BY 1
        """
    )
    return [
        SqlAction(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC", f"Took CONNECT on database {name} from everyone.")
        for (name,) in cursor.fetchall()
    ]


def membership(cursor: Cursor, owner: str) -> list[SqlAction]:
    """An administrator who is no superuser acts for an owner, as a member of it (manual section 22.3).

    Since version 16 who creates a role is a member that may grant it, but may not act for it.
    """
    acts = "SET" if cursor.connection.server_version >= 160000 else "MEMBER"
    cursor.execute(
        f"""
        SELECT rolsuper OR coalesce((SELECT pg_has_role(owner.oid, '{acts}') FROM pg_catalog.pg_roles owner
                                     WHERE owner.rolname = %s), false)
        FROM pg_catalog.pg_roles WHERE rolname = current_user
        """,
        [owner],
    )
    if one_row(cursor)[0]:
        return []
    return [SqlAction(f"GRANT {quote(owner)} TO CURRENT_USER", f"Became a member of {owner}.")]
