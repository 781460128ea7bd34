# SPDX-License-Identifier: GPL-3.0-or-later
"""The logins of the application's role: the role itself, and a second one that works as it.

A new password is given to the one that nothing logs in as. What is started next logs in as that one; what serves goes
on with the other, which is closed once it has no session left. Rights and objects are the role's, whoever logs in.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import setting_name, setting_values
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import SqlAction, literal, quote
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

SECONDS_BETWEEN_LOOKS = 0.2


def plan_login(cursor: Cursor, database: str, role: str, login: str) -> list[SqlAction]:
    """Statements that make ``login`` work as ``role``: a member that begins as it, with its settings and its limit.

    Settings are those that the role has in ``database``; the login gets them for all databases, so that what is set
    in the database is what its migrations set. A role that does not exist yet has none: check mode comes here before.
    """
    if login == role:
        return []
    statements = []
    cursor.execute(
        """
        SELECT coalesce(pg_has_role(to_regrole(%(login)s), to_regrole(%(role)s), 'MEMBER'), false),
               coalesce((SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE oid = to_regrole(%(role)s)), -1),
               coalesce((SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE oid = to_regrole(%(login)s)), -1)
        """,
        {"login": quote(login), "role": quote(role)},
    )
    member, wanted_limit, limit = one_row(cursor)
    if not member:
        grant = f"GRANT {quote(role)} TO {quote(login)}"
        statements.append(SqlAction(grant, f"Made {login} a member of {role}."))
    if limit != wanted_limit:
        change = f"ALTER ROLE {quote(login)} CONNECTION LIMIT {wanted_limit}"
        statements.append(SqlAction(change, f"Gave {login} the limit of connections of {role}."))
    wanted = {**settings(cursor, role, ""), **settings(cursor, role, database), "role": role}
    found = settings(cursor, login, "")
    for name, value in sorted(wanted.items()):
        if found.get(name) != value:
            values = ", ".join(map(literal, setting_values(name, value)))
            change = f"ALTER ROLE {quote(login)} SET {setting_name(name)} TO {values}"
            statements.append(SqlAction(change, f"Gave {login} the {name} of {role}."))
    statements += [
        SqlAction(f"ALTER ROLE {quote(login)} RESET {setting_name(name)}", f"Took from {login} its own {name}.")
        for name in sorted(found.keys() - wanted.keys())
    ]
    return statements


def settings(cursor: Cursor, role: str, database: str) -> dict[str, str]:
    """What is set for the role in one database, or in all of them for '', as the catalogue has it."""
    cursor.execute(
        """
        SELECT split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
        FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase,
             unnest(s.setconfig) AS setting
        WHERE s.setrole = to_regrole(%s) AND coalesce(d.datname, '') = %s
        """,
        [quote(role), database],
    )
    return dict(cursor.fetchall())


def open_logins(cursor: Cursor, logins: Sequence[str]) -> list[str]:
    """Which of the logins can log in."""
    cursor.execute(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s) AND rolcanlogin ORDER BY 1", [list(logins)]
    )
    return [name for (name,) in cursor.fetchall()]


def close(login: str) -> SqlAction:
    """A statement after which nobody logs in as the login, and its password is worth nothing."""
    return SqlAction(f"ALTER ROLE {quote(login)} NOLOGIN PASSWORD NULL", f"Closed login {login}.")


def wait_until_unused(cursor: Cursor, login: str, patience: float) -> None:
    """Wait until no session of the login is left, ``patience`` seconds at most.

    Raises SlipwayError with who is left. The cursor is on autocommit, so that each look is a new one.
    """
    deadline = time.monotonic() + patience
    while left := sessions(cursor, login):
        if time.monotonic() > deadline:
            raise SlipwayError(
                f"Login {login} still has {counted(len(left), 'session')}, so that it was not closed "
                f"and its password is still good: {'; '.join(left)}. Everything else is done: end what logs in as "
                f"{login}, or have it log in as somebody else, and run again."
            )
        time.sleep(SECONDS_BETWEEN_LOOKS)


def sessions(cursor: Cursor, login: str) -> list[str]:
    """The sessions of a login in any database, each in words."""
    cursor.execute(
        """
        SELECT format('process %%s in database %%s from %%s%%s', pid, datname,
                      coalesce(host(client_addr), 'the local socket'), ' (' || nullif(application_name, '') || ')')
        FROM pg_catalog.pg_stat_activity WHERE usename = %s AND datname IS NOT NULL ORDER BY pid
        """,
        [login],
    )
    return [said for (said,) in cursor.fetchall()]
