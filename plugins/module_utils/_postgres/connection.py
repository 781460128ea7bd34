# SPDX-License-Identifier: GPL-3.0-or-later
"""How every module reaches PostgreSQL: one argument spec, one way to connect, one sentence when it fails."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interruption import statement
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote

try:
    import psycopg2
    import psycopg2.extensions
except ImportError:  # the target lacks it; connect() says so
    psycopg2 = None  # type: ignore[assignment]
else:

    class _Cursor(psycopg2.extensions.cursor):
        """A cursor whose statements are cancelled when the module is told to stop."""

        def execute(self, query: Any, vars: Any = None) -> None:
            with statement(self.connection):
                super().execute(query, vars)


if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

# The names and meanings of community.postgresql's options.
CONNECTION_SPEC: dict[str, dict[str, Any]] = {
    "login_host": {"type": "str", "default": ""},
    "login_port": {"type": "int", "default": 5432},
    "login_unix_socket": {"type": "path", "default": ""},
    "login_user": {"type": "str", "required": True},
    "login_password": {"type": "str", "no_log": True, "default": ""},
    "login_db": {"type": "str", "required": True},
    "ssl_mode": {
        "type": "str",
        "default": "prefer",
        "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
    },
    "ca_cert": {"type": "path"},
    "connect_timeout": {"type": "int", "default": 10},
}

# Another role of the same server.
LOGIN_SPEC: dict[str, Any] = {
    "type": "dict",
    "options": {
        "login_user": {"type": "str", "required": True},
        "login_password": {"type": "str", "no_log": True, "default": ""},
    },
}
# Where another database is; the role is the one that the module is given.
LOCATION_SPEC: dict[str, Any] = {
    "type": "dict",
    "options": {name: option for name, option in CONNECTION_SPEC.items() if name in (
        "login_host", "login_port", "login_unix_socket", "login_db", "ssl_mode", "ca_cert")},
}  # fmt: skip
BATCH = 100  # tables that one statement reads

# What to do, by what the server said; the first that fits.
_ADVICE = {
    "unsupported startup parameter": "this is a pooler such as PgBouncer: name the server itself",
    "for parameter": "correct this setting",
    "not currently accepting connections": "slipway.deploy.backup, like every verb that writes, opens what an "
    "interrupted restore left closed; what somebody closed on purpose, ALTER DATABASE … ALLOW_CONNECTIONS true opens "
    "again",
    "password authentication failed": "if the database is new to Slipway, run a deploy first, which makes the role "
    "with its password; else correct the password",
    "": "check that the server runs and is the one that is meant",
}
# libpq gives no SQLSTATE of a connection that failed. The server does not tell a wrong password from an unknown role.
_REFUSED = re.compile(r"password authentication failed for user")


_LOST = "see that the server runs, and in its log why it ended the session, and run again"
# What to do, by the code of the server's error (manual, appendix A).
_NEXT = {
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": "run again when the server has started",
    "53100": "free some space on the server's disk and run again",
    "25006": "this server is a standby or set to be read-only: name the primary",
}


@dataclass(frozen=True)
class Server:
    """Where a database is and as whom to reach it. ``socket_dir`` wins over ``host``."""

    user: str
    database: str
    password: str = ""
    host: str = ""
    port: int = 5432
    socket_dir: str = ""
    ssl_mode: str = "prefer"
    ca_cert: str | None = None
    connect_timeout: int = 10

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Server:
        """Take the connection out of a module's parameters (see ``CONNECTION_SPEC``)."""
        return cls(
            user=params["login_user"],
            database=params["login_db"],
            password=params["login_password"] or "",
            host=params["login_host"] or "",
            port=params["login_port"],
            socket_dir=params["login_unix_socket"] or "",
            ssl_mode=params["ssl_mode"],
            ca_cert=params["ca_cert"],
            connect_timeout=params["connect_timeout"],
        )

    @property
    def address(self) -> str:
        """Host and port, or the socket's directory, as a person would name it."""
        return self.socket_dir or f"{self.host or 'localhost'}:{self.port}"

    def on(self, database: str) -> Server:
        """The same server and role, another database."""
        return replace(self, database=database)

    @property
    def location(self) -> dict[str, Any]:
        """The options of ``CONNECTION_SPEC`` that say where the database is, and not by whom it is reached."""
        return {
            "login_host": self.host,
            "login_port": self.port,
            "login_unix_socket": self.socket_dir,
            "login_db": self.database,
            "ssl_mode": self.ssl_mode,
            "ca_cert": self.ca_cert,
        }

    def at(self, location: Mapping[str, Any]) -> Server:
        """The same role at the database of a ``location``; the same server where that is empty."""
        if not location:
            return self
        return replace(
            self,
            host=location["login_host"] or "",
            port=location["login_port"],
            socket_dir=location["login_unix_socket"] or "",
            database=location["login_db"],
            ssl_mode=location["ssl_mode"],
            ca_cert=location["ca_cert"],
        )

    def by(self, login: Mapping[str, Any] | None) -> Server:
        """The same server and database by another role (see ``LOGIN_SPEC``), where one is given."""
        return replace(self, user=login["login_user"], password=login["login_password"]) if login else self


class LoginRefusedError(SlipwayError):
    """The server has no such role, or the role has another password."""


def connect(server: Server, application_name: str = "slipway", **options: str) -> Connection:
    """Open a connection (autocommit off); ``options`` are server settings such as ``lock_timeout='2s'``.

    Raises SlipwayError naming the database, the address and the role when that is not possible, LoginRefusedError for a
    wrong password or an unknown role.
    """
    if psycopg2 is None:
        raise SlipwayError(
            "Python's psycopg2 is missing on the host: install the package python3-psycopg2 there and run again."
        )
    try:
        return psycopg2.connect(
            host=server.socket_dir or server.host or "localhost",
            port=server.port,
            user=server.user,
            password=server.password,
            dbname=server.database,
            sslmode=server.ssl_mode,
            sslrootcert=server.ca_cert,
            connect_timeout=server.connect_timeout,
            application_name=application_name,
            cursor_factory=_Cursor,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
            options=" ".join(f"-c {name}={value}" for name, value in options.items()),
        )
    except psycopg2.OperationalError as error:
        reason = " ".join(str(error).split())
        advice = next((advice for said, advice in _ADVICE.items() if said in reason), _ADVICE[""])
        kind = LoginRefusedError if _REFUSED.search(reason) else SlipwayError
        raise kind(
            f"Can't connect to database {server.database!r} at {server.address} as role {server.user!r}: {reason}; "
            f"{advice}."
        ) from error


@contextlib.contextmanager
def connection(server: Server, application_name: str = "slipway", **options: str) -> Iterator[Connection]:
    """``connect`` for a ``with`` block: the connection is closed at its end, whatever happened."""
    opened = connect(server, application_name, **options)
    try:
        yield opened
    finally:
        opened.close()


@contextlib.contextmanager
def sql_errors(doing: str) -> Iterator[None]:
    """Turn an error of the server into a sentence that says what was being done."""
    try:
        yield
    except SlipwayError:  # also the one that says that psycopg2 is missing
        raise
    except psycopg2.Error as error:
        lines = [line for line in (error.diag.message_primary or str(error)).splitlines() if line.strip()]
        hint = f" PostgreSQL's hint: {error.diag.message_hint}" if error.diag.message_hint else ""
        gone = isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError)) and not error.pgcode
        advice = _LOST if gone else _NEXT.get(error.pgcode or "", "")
        said = lines[0] if lines else "the connection was lost"
        raise SlipwayError(f"{doing} failed: {said}{advice and f'; {advice}'}.{hint}") from error


@contextlib.contextmanager
def autocommit(server: Server, **settings: str) -> Iterator[Cursor]:
    """A cursor on which every statement is a transaction of its own, under settings of the server."""
    with connection(server, **{"statement_timeout": "0", **settings}) as opened:
        opened.autocommit = True
        with opened.cursor() as cursor:
            yield cursor


def batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The names of tables a few at a time, as many as one statement reads.

    It locks each of them with its indexes, out of a number of locks that all sessions of a server share
    (max_locks_per_transaction), and a SELECT has at most 1,664 columns.
    """
    for start in range(0, len(names), BATCH):
        yield names[start : start + BATCH]


def roll_back(cursor: Cursor) -> None:
    """End an open transaction, whatever its state, without keeping anything of it."""
    if cursor.connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
        cursor.execute("ROLLBACK")


def one_row(cursor: Cursor) -> tuple[Any, ...]:
    """The single row of a query that always gives one."""
    row = cursor.fetchone()
    if row is None:
        raise AssertionError("a query that always gives a row gave none")
    return row


def check_version(number: int) -> None:
    """Raise SlipwayError for a server, by libpq's number of its version, that lacks what the engine relies on."""
    if number < 120000:
        raise SlipwayError(
            f"The server is PostgreSQL {number // 10000}: Slipway needs 12 or newer, upgrade the server."
        )


def check_pooler(cursor: Cursor, server: Server, search_path: str) -> None:
    """Refuse a pooler that keeps the connection's settings from the server: it mixes up the locks of sessions, too."""
    cursor.execute("SHOW search_path")
    if one_row(cursor)[0] != search_path:
        raise SlipwayError(
            f"The settings of the connection do not reach the server at {server.address}, as behind a pooler like "
            "PgBouncer, which mixes up sessions and their locks: name the server itself in login_host and login_port."
        )


@contextlib.contextmanager
def working(server: Server, schema: str, **settings: str) -> Iterator[Cursor]:
    """An autocommit connection that works in a schema, under settings of the server, for a ``with`` block.

    What PostgreSQL says against our own statements becomes a SlipwayError.
    """
    settings = {"search_path": quote(schema), "client_encoding": "UTF8", **settings}
    # At the start of a connection, blanks and backslashes need a backslash.
    escaped = {name: re.sub(r"([\\\s])", r"\\\1", value) for name, value in settings.items() if value}
    try:
        with connection(server, "slipway migrations", **escaped) as opened, opened.cursor() as cursor:
            opened.autocommit = True
            check_version(opened.server_version)
            check_pooler(cursor, server, settings["search_path"])
            yield cursor
    except psycopg2.Error as error:
        said = " ".join((error.diag.message_primary or str(error)).split())
        raise SlipwayError(
            f"PostgreSQL ended the run on database {server.database!r}: {said}; what was applied is in the history: "
            "correct this and run again."
        ) from error
