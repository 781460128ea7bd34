# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that Slipway makes and drops, and the swap that puts a restored one in another's place.

Such a database carries a mark in its comment, and nothing without the mark is ever dropped.
"""

from __future__ import annotations

import contextlib
import csv
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    autocommit,
    connection,
    one_row,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.identity import identify
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import (
    REPLAY,
    RESTORING,
    WANTED,
    copies,
    derived_name,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, listed

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:  # connect() has said so before anything here is called
    pass

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

MARK = "slipway: a copy of another database; may be dropped"
REPLAY_LOCK = 5_273_491_070_771_286  # of the session, in the database itself, for which the replay's copy is made
# Settings whose value is a list of names; each is a literal of its own. The list is fixed in PostgreSQL's source.
NAME_LISTS = (
    "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
    "temp_tablespaces", "unix_socket_directories",
)  # fmt: skip
# For a session that reads everything: no limit on its time, no row hidden by a policy, no endless wait for a lock.
PATIENT = {
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "60s",
    "row_security": "off",
}
POLL = 0.02  # seconds between two looks at the sessions that are to end
ENDED_WITHIN = 15  # seconds for them to end


@dataclass(frozen=True)
class About:
    """A database as its cluster describes it."""

    name: str
    owner: str
    size: int  # bytes
    server_version: str
    server_major: int
    system_identifier: str  # '' when the server hides it
    data_directory: str  # '' when the role may not see it
    creation: tuple[tuple[str, str], ...]  # what CREATE DATABASE takes to make another one like it


def describe(cursor: Cursor, database: str) -> About:
    """Look a database up in the catalogue; SlipwayError when the server has none of that name."""
    cursor.execute(
        "SELECT to_jsonb(d) || jsonb_build_object('encoding', pg_encoding_to_char(d.encoding), 'size', "
        "pg_database_size(d.oid), 'owner', pg_get_userbyid(d.datdba), 'tablespace', t.spcname, "
        "'number', current_setting('server_version_num')::int, "
        "'directory', (SELECT setting FROM pg_settings WHERE name = 'data_directory')) "
        "FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = %s",
        [database],
    )
    row = cursor.fetchone()
    if row is None:
        raise SlipwayError(
            f"The server has no database {database!r}: create it first (the role 'postgres' does), or correct login_db."
        )
    found: dict[str, Any] = row[0]
    creation = {
        "OWNER": found["owner"],
        "ENCODING": found["encoding"],
        "LC_COLLATE": found["datcollate"],
        "LC_CTYPE": found["datctype"],
        "TABLESPACE": "" if found["tablespace"] == "pg_default" else found["tablespace"],
    }
    provider = found.get("datlocprovider")
    locale = found.get("datlocale") or found.get("daticulocale")
    if provider == "i":
        creation.update(LOCALE_PROVIDER="icu", ICU_LOCALE=locale, ICU_RULES=found.get("daticurules"))
    elif provider == "b":
        creation.update(LOCALE_PROVIDER="builtin", BUILTIN_LOCALE=locale)
    server = identify(cursor)
    return About(
        name=database,
        owner=found["owner"],
        size=found["size"],
        server_version=server["server_version"],
        server_major=found["number"] // 10000,
        system_identifier=server["system_identifier"],
        data_directory=found["directory"] or "",
        creation=tuple((option, value) for option, value in creation.items() if value),
    )


def insist_on_all_rows(server: Server) -> None:
    """Raise SlipwayError when row-level security hides rows of the database from the role that reads it."""
    with reading(server) as opened, opened.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.relrowsecurity AND row_security_active(c.oid) ORDER BY 1"
        )
        hidden = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT quote_ident(current_user)")
        role = one_row(cursor)[0]
    if hidden:
        raise SlipwayError(
            f"Row-level security hides rows of {listed(hidden)} from role {server.user!r}, so that a backup would not "
            f"be complete and nothing was written: let a superuser run ALTER ROLE {role} BYPASSRLS, and run again."
        )


def wal_position(cursor: Cursor) -> str:
    """Where the server's write-ahead log stands now, as an LSN; '' where the role may not know, as in some clouds."""
    try:
        cursor.execute(
            "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text"
        )
    except (psycopg2.errors.InsufficientPrivilege, psycopg2.errors.FeatureNotSupported):
        return ""
    return str(one_row(cursor)[0] or "")


def missing_roles(cursor: Cursor, roles: Sequence[str], definitions: Sequence[str] = ()) -> str:
    """What is to be said of those of the roles that the server does not have; '' when it has them all.

    ``definitions`` are the statements that made all of them where the backup was taken.
    """
    cursor.execute(
        "SELECT name, quote_ident(name) FROM unnest(%s::text[]) AS name "
        "WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) ORDER BY 1",
        [list(roles)],
    )
    missing = cursor.fetchall()
    if not missing:
        return ""
    named = tuple(f" {word} {quoted} " for _, quoted in missing for word in ("ROLE", "TO"))
    made = [each for each in definitions if any(part in f"{each} " for part in named)]
    return (
        f"It names {counted(len(missing), 'role')} that this server does not have, since roles are no part of a "
        f"backup: {', '.join(name for name, _ in missing)}; create them first ("
        + "; ".join(made or [f"CREATE ROLE {quoted}" for _, quoted in missing])
        + "; those that sign in need LOGIN and a password)."
    )


def exists(cursor: Cursor, database: str) -> bool:
    """Whether the server has a database of that name that is ours to drop; SlipwayError when it is another's.

    A database that nobody may enter, limited to no connection, is one whose creation was cut short before its mark.
    """
    cursor.execute(
        "SELECT shobj_description(oid, 'pg_database'), datallowconn, datconnlimit FROM pg_database WHERE datname = %s",
        [database],
    )
    row = cursor.fetchone()
    if row is None:
        return False
    if row[0] != MARK and row[1:] != (False, 0):
        raise SlipwayError(
            f"Database {database!r} exists and does not carry Slipway's mark, so it is not touched: choose another "
            "name, or drop it yourself when nobody needs it."
        )
    return True


def drop(cursor: Cursor, database: str) -> bool:
    """Drop a marked database, with the sessions that are in it; false when there is none."""
    if not exists(cursor, database):
        return False
    insist()
    statement = sql.SQL("DROP DATABASE {}").format(sql.Identifier(database))
    try:
        cursor.execute(statement + sql.SQL(" WITH (FORCE)"))
    except psycopg2.errors.InsufficientPrivilege:
        # An autovacuum worker is in it, which FORCE lets only a superuser end; without it, the server ends such itself.
        cursor.execute(statement)
    return True


def create(cursor: Cursor, database: str, like: About) -> None:
    """Create an empty, marked database with the owner, encoding and locale of another one."""
    options = [
        sql.SQL(option + " = {}").format(
            sql.Identifier(value) if option in ("OWNER", "TABLESPACE") else sql.Literal(value)
        )
        for option, value in like.creation
    ]
    _create(cursor, database, sql.SQL(" ").join([sql.SQL("TEMPLATE template0"), *options]))


def copy(cursor: Cursor, source: str, target: str) -> None:
    """Create a marked database that is the copy of one that nobody is in, file by file."""
    owner = sql.Identifier(describe(cursor, source).owner)
    _create(cursor, target, sql.SQL("TEMPLATE {} OWNER {}").format(sql.Identifier(source), owner))
    copy_settings(cursor, source, target)


def _create(cursor: Cursor, database: str, options: sql.Composable) -> None:
    """Nobody but its owner and superusers may connect to it, at no moment: it opens when that is so."""
    name = sql.Identifier(database)
    cursor.execute(sql.SQL("CREATE DATABASE {} {} ALLOW_CONNECTIONS false CONNECTION LIMIT 0").format(name, options))
    cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(name, sql.Literal(MARK)))
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true CONNECTION LIMIT -1").format(name))


def admit(cursor: Cursor, database: str, role: str) -> None:
    """Let a role connect to a copy, which else only its owner and superusers can."""
    if role:
        cursor.execute(
            sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}").format(
                sql.Identifier(database), sql.Identifier(role)
            )
        )


def end_transactions(cursor: Cursor, database: str, role: str) -> None:
    """End the sessions of a role that are not idle, and may hold locks; the others keep what they have prepared.

    Those of a login too that works as the role, by its setting of that name.
    """
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND state <> 'idle' "
        "AND (usename = %s OR usesysid IN (SELECT setrole FROM pg_db_role_setting "
        "WHERE setdatabase = 0 AND %s = ANY(setconfig)))",
        [database, role, f"role={role}"],
    )


def copy_settings(cursor: Cursor, source: str, target: str, there: Cursor | None = None) -> None:
    """Give ``target``, which may be elsewhere (``there``), the settings of ``source``, those for single roles too."""
    cursor.execute(
        "SELECT pg_get_userbyid(nullif(s.setrole, 0)), s.setconfig FROM pg_db_role_setting s "
        "JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = %s ORDER BY 1",
        [source],
    )
    for role, settings in cursor.fetchall():
        for name, value in (setting.split("=", 1) for setting in settings):
            (there or cursor).execute(
                sql.SQL("ALTER {} DATABASE {} SET {} TO {}").format(
                    sql.SQL("ROLE {} IN").format(sql.Identifier(role)) if role else sql.SQL(""),
                    sql.Identifier(target),
                    sql.SQL(setting_name(name)),
                    sql.SQL(", ").join(map(sql.Literal, setting_values(name, value))),
                )
            )


def setting_name(name: str) -> str:
    """The name of a setting in SQL; that of an extension's has two parts."""
    return ".".join(map(quote, name.split(".")))


def setting_values(name: str, value: str) -> list[str]:
    """The values that a setting, as the catalogue has it, was given; each is a literal of its own."""
    return (next(csv.reader([value], skipinitialspace=True), []) if name in NAME_LISTS else [value]) or [""]


def copy_limits(cursor: Cursor, source: str, target: str) -> None:
    """Give ``target`` the limit of connections of ``source``, and its being a template."""
    cursor.execute("SELECT datconnlimit, datistemplate FROM pg_database WHERE datname = %s", [source])
    limit, template = one_row(cursor)
    cursor.execute(
        sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {} IS_TEMPLATE {}").format(
            sql.Identifier(target), sql.Literal(limit), sql.Literal(template)
        )
    )


def search_path(cursor: Cursor, database: str) -> str:
    """The search_path of the sessions of a database's owner; a role's own setting goes before the database's."""
    cursor.execute(
        """
        (SELECT substr(setting, length('search_path=') + 1)
        FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase IN (0, d.oid) AND s.setrole IN (0, d.datdba),
             unnest(s.setconfig) AS setting
        WHERE d.datname = %s AND setting LIKE 'search@_path=%%' ESCAPE '@'
         ORDER BY s.setrole = 0, s.setdatabase = 0)
        UNION ALL SELECT reset_val FROM pg_settings WHERE name = 'search_path'
        """,
        [database],
    )
    return str(one_row(cursor)[0])


def copy_rights(cursor: Cursor, source: str, target: str) -> None:
    """Let those connect to ``target`` (and create and use temporary tables there) who may on ``source``."""
    cursor.execute(
        "SELECT nullif(a.grantee, 0)::regrole::text, a.privilege_type, bool_or(a.is_grantable) FROM pg_database d, "
        "aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a WHERE d.datname = %s GROUP BY 1, 2 ORDER BY 1, 2",
        [source],
    )
    rights = cursor.fetchall()
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(target)))
    for grantee, privilege, grantable in rights:
        cursor.execute(
            sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(privilege),
                sql.Identifier(target),
                sql.SQL(grantee or "PUBLIC"),
                sql.SQL(" WITH GRANT OPTION" if grantable else ""),
            )
        )


def swap(server: Server, current: str, restored: str, kept: str) -> None:
    """Rename ``current`` to ``kept`` and ``restored`` to ``current``, in one transaction.

    Settings, comment and rights stay with the name ``current``. ``server`` is where a third database of the cluster is
    entered.

    Nothing is closed for it: RENAME itself takes the lock that every new connection to the database asks for, so that
    those wait until the transaction has ended, and the sessions that are there already are ended meanwhile. Whatever
    ends this run leaves either the former database or the restored one, open.
    """
    insist()
    deadline = time.monotonic() + ENDED_WITHIN
    # A client that vanishes must not keep the lock.
    bounds = {"statement_timeout": "60s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "10s"}
    with connection(server, **bounds) as opened, autocommit(server) as cursor:
        while True:
            try:
                with _ending_sessions(opened, cursor), opened, opened.cursor() as transaction:
                    _rename(transaction, current, restored, kept)
                return
            except psycopg2.errors.ObjectInUse as error:  # it waits 5 s for the sessions to end
                if time.monotonic() > deadline or "prepared" in (error.diag.message_detail or ""):
                    raise SlipwayError(
                        f"Database {current!r} is still in use ({error.diag.message_detail or error}), so nothing was "
                        "swapped: end that (see pg_stat_activity and pg_prepared_xacts) and run again."
                    ) from error


def _rename(cursor: Cursor, current: str, restored: str, kept: str) -> None:
    # When this run is killed, its session and with it the lock are to end now and not after RENAME's own 5 s.
    cursor.execute(
        "SELECT set_config(name, '200ms', true) FROM pg_settings WHERE name = 'client_connection_check_interval' "
        "AND version() ~ 'linux'"
    )
    copy_settings(cursor, current, restored)
    copy_rights(cursor, current, restored)
    copy_limits(cursor, current, restored)
    cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", [current])
    comment = one_row(cursor)[0]
    for old, new in ((current, kept), (restored, current)):
        cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
    cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(current), sql.Literal(comment)))


@contextlib.contextmanager
def _ending_sessions(renaming: Connection, cursor: Cursor) -> Iterator[None]:
    """End, by ``cursor``, the clients' sessions in every database that the session ``renaming`` has locked.

    Before the lock nobody is ended: a session that is ended then comes back. An error ends the renaming and is raised.
    """
    done = threading.Event()
    failed: list[BaseException] = []

    def end_sessions() -> None:
        try:
            while not done.wait(POLL):
                cursor.execute(_END_SESSIONS, [renaming.info.backend_pid])
        except BaseException as error:
            failed.append(error)
            renaming.cancel()

    thread = threading.Thread(target=end_sessions)
    thread.start()
    try:
        yield
    except psycopg2.errors.QueryCanceled as error:
        raise (failed or [error])[0] from None
    finally:
        done.set()
        thread.join()


# Of others' sessions a role without the right to know sees neither kind nor text, but whether they have a user.
_END_SESSIONS = """
SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
JOIN pg_locks l ON l.pid = %s AND l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.objid = a.datid
    AND l.mode = 'AccessExclusiveLock' AND l.granted
WHERE a.usesysid IS NOT NULL AND coalesce(a.backend_type, 'client backend') = 'client backend'
"""


def recover(cursor: Cursor, database: str, *, check_mode: bool = False) -> list[str]:
    """Open a database that a swap cut short has left closed, as versions before 0.1.0 did; what was done.

    Its restored copy is still beside it then, with Slipway's mark. SlipwayError when it was closed without one: by
    somebody, on purpose. ``cursor`` is the administrator's, in another database of the cluster.
    """
    if not closed(cursor, database):
        return []
    if derived_name(database, RESTORING) not in _copies(cursor, database):
        raise SlipwayError(
            f"Database {database!r} accepts no connections and no restore of Slipway's was at work on it, so somebody "
            f'closed it: when that is over, open it with ALTER DATABASE "{database}" ALLOW_CONNECTIONS true and run '
            "again."
        )
    if check_mode:
        return [f"Would open database {database}, which a restore that was cut short left closed."]
    cursor.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(database)))
    return [f"Opened database {database}, which a restore that was cut short left closed."]


def closed(cursor: Cursor, database: str) -> bool:
    """Whether a database accepts no connections."""
    cursor.execute("SELECT FROM pg_database WHERE datname = %s AND NOT datallowconn", [database])
    return cursor.fetchone() is not None


def leftovers(cursor: Cursor, database: str) -> list[str]:
    """Slipway's own copies of a database that are there though nobody uses them: of runs that were cut short."""
    return [name for name, used in _copies(cursor, database).items() if not used]


def drop_leftovers(cursor: Cursor, database: str) -> list[str]:
    """Drop them; what was done."""
    names = leftovers(cursor, database)
    for name in names:
        cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
    return [left_behind(name) for name in names]


def left_behind(name: str, done: str = "Dropped") -> str:
    return f"{done} database {name}, which an earlier run left behind."


def _copies(cursor: Cursor, database: str) -> dict[str, bool]:
    """Each of Slipway's own copies of a database that the server has, and whether anybody uses it."""
    cursor.execute(
        """
        SELECT d.datname, EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
            OR d.datname = ANY(%(replays)s) AND EXISTS (
                SELECT FROM pg_locks l JOIN pg_database o ON o.oid = l.database AND o.datname = %(database)s
                WHERE l.locktype = 'advisory' AND l.objsubid = 1
                  AND (l.classid::bigint << 32 | l.objid::bigint) = %(lock)s)
        FROM pg_database d WHERE d.datname = ANY(%(names)s)
          AND (shobj_description(d.oid, 'pg_database') = %(mark)s OR NOT d.datallowconn AND d.datconnlimit = 0)
        ORDER BY 1
        """,
        {
            "names": list(copies(database)),
            "replays": [derived_name(database, suffix) for suffix in (REPLAY, WANTED)],
            "database": database,
            "lock": REPLAY_LOCK,
            "mark": MARK,
        },
    )
    return dict(cursor.fetchall())


@contextlib.contextmanager
def reading(server: Server) -> Iterator[Connection]:
    """A connection for reading a whole database, each of its transactions of one moment, for a ``with`` block."""
    with connection(server, **PATIENT) as opened:
        opened.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with opened, opened.cursor() as cursor:
            cursor.execute(
                "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'"  # since 17
            )
        yield opened


def export_snapshot(opened: Connection) -> str:
    """Begin a transaction and export what it sees, for others to see the same until it ends."""
    with opened.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        return str(one_row(cursor)[0])
