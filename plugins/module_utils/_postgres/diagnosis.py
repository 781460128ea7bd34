# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a database can't be reached: what a client does to reach it, step by step, up to the first that fails.

The steps are those of libpq (manual, sections 34.1 and 55.2): the name, the port, the answer to a request for TLS, the
certificate, the role's password, the database. A step that failed is told with what to do; no later one is tried.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import stat
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    LoginRefusedError,
    Server,
    check_version,
    connection,
    one_row,
    sql_errors,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.module_utils._text import duration

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

OK, FAILED, NOT_REACHED = "ok", "failed", "not reached"
SSL_REQUEST = struct.pack("!II", 8, 80877103)  # section 55.7
# Databases that every server has (section 23.3).
OTHERS = ("postgres", "template1")
SOON = 30 * 86400  # seconds before its end at which a certificate is told of
# What a server says of the database when it has taken the role and its password, in English at least.
NO_DATABASE = re.compile(r'database ".*" does not exist')
NO_ACCESS = re.compile(r"permission denied for database|not currently accepting connections")
# What OpenSSL found wrong with a certificate: its numbers in X509_V_ERR_*.
EXPIRED, NOT_YET, MISMATCHES = 10, 9, (62, 64)


@dataclass(frozen=True)
class Step:
    """One step: its state, the seconds that it took, and what is known now, or what is wrong and what to do."""

    name: str
    state: str
    seconds: float | None
    told: str

    def result(self) -> dict[str, Any]:
        """As a module returns it."""
        spent = "" if self.seconds is None else f"{self.seconds:.2f}"
        return {"step": self.name, "state": self.state, "seconds": self.seconds, "spent": spent, "told": self.told}


@dataclass
class Attempt:
    """What the steps learn of the server, each for the later ones."""

    server: Server
    stack: contextlib.ExitStack
    addresses: list[str] = field(default_factory=list)
    address: str = ""  # the one that answers
    tls: bool = False  # whether the server offers it
    cursor: Cursor | None = None  # in the database, or, where that is refused, in another one
    refused: str = ""  # what the server said when the database was asked for

    @property
    def session(self) -> Cursor:
        """The open session."""
        if self.cursor is None:
            raise AssertionError("the session comes before the steps that need it")
        return self.cursor

    @property
    def version(self) -> int:
        """The server's version by libpq's number."""
        return self.session.connection.server_version

    def reach(self, address: str = "") -> socket.socket:
        """A socket that is connected to the server; OSError when that is not possible."""
        server = self.server
        if server.socket_dir:
            opened = socket.socket(socket.AF_UNIX)
            opened.settimeout(server.connect_timeout)
            try:
                opened.connect(socket_file(server))
            except OSError:
                opened.close()
                raise
            return opened
        return socket.create_connection((address or self.address, server.port), server.connect_timeout)


def diagnose(server: Server) -> list[Step]:
    """Every step, the first that fails with what to do; those behind it were not reached."""
    steps: list[Step] = []
    with contextlib.ExitStack() as stack:
        attempt = Attempt(server, stack)
        for name, step in STEPS:
            if steps and steps[-1].state != OK:
                steps.append(Step(name, NOT_REACHED, None, ""))
                continue
            begin = time.monotonic()
            try:
                with sql_errors("Asking the server"):
                    state, told = OK, step(attempt)
            except SlipwayError as error:
                state, told = FAILED, str(error)
            except OSError as error:
                state = FAILED
                told = (
                    f"{server.address} answered before, and does not now ({plain(error)}): run again, and see its log."
                )
            steps.append(Step(name, state, round(time.monotonic() - begin, 3), told))
    return steps


def socket_file(server: Server) -> str:
    """The file of a server's Unix socket."""
    return os.path.join(server.socket_dir, f".s.PGSQL.{server.port}")


def resolve(attempt: Attempt) -> str:
    """The host's name stands for an address."""
    server = attempt.server
    if server.socket_dir:
        return "a Unix socket needs none"
    host = server.host or "localhost"
    try:
        found = socket.getaddrinfo(host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SlipwayError(
            f"The name {host!r} stands for no address on this host ({getattr(error, 'strerror', error)}): correct the "
            "server's address, or have DNS or /etc/hosts know it."
        ) from error
    attempt.addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    return f"{host} is {', '.join(attempt.addresses)}"


def knock(attempt: Attempt) -> str:
    """Something listens there."""
    server = attempt.server
    if server.socket_dir:
        return knock_at_file(attempt)
    errors: dict[str, OSError] = {}
    for address in attempt.addresses:
        try:
            attempt.reach(address).close()
        except OSError as error:
            errors[address] = error
            continue
        attempt.address = address
        return f"{address} answers on port {server.port}"
    said = "; ".join(f"{address}: {plain(error)}" for address, error in errors.items())
    if any(isinstance(error, ConnectionRefusedError) for error in errors.values()):
        advice = "start the server, have it listen there (listen_addresses), or correct the address or the port"
    else:
        advice = "see that the host runs and that no firewall between here and there drops it, or correct the address"
    raise SlipwayError(f"Nothing answers at {server.address} ({said}): {advice}.") from next(
        iter(errors.values()), None
    )


def knock_at_file(attempt: Attempt) -> str:
    """The server's socket is there, and somebody listens."""
    file = socket_file(attempt.server)
    try:
        if not stat.S_ISSOCK(os.stat(file).st_mode):
            raise SlipwayError(f"{file} is no socket: correct the socket's directory or the port.")
        attempt.reach().close()
    except PermissionError as error:
        raise SlipwayError(
            f"This user may not reach {file} ({plain(error)}): become a user who may, or give it the right."
        ) from error
    except FileNotFoundError as error:
        raise SlipwayError(
            f"There is no socket {file}: start the server, or correct the socket's directory or the port."
        ) from error
    except OSError as error:
        raise SlipwayError(
            f"Nobody answers at {file} ({plain(error)}), which a server has left that does not run: start it."
        ) from error
    return f"{file} answers"


def greet(attempt: Attempt) -> str:
    """It is PostgreSQL: it answers a request for TLS with one letter (section 55.2.10)."""
    server = attempt.server
    with contextlib.closing(attempt.reach()) as opened:
        said = ask(opened)
        if said in (b"S", b"N"):
            opened.settimeout(0.05)  # another server greets with more, such as SSH-2.0
            with contextlib.suppress(socket.timeout):
                said += opened.recv(100)
    if said not in (b"S", b"N"):
        shown = (said.decode("ascii", "replace").split("\n")[0].strip() or "nothing") if said is not None else ""
        what = (
            f"says nothing within {server.connect_timeout} s" if said is None
            else "closes the connection" if not said
            else f"answers {shown!r}, which is not PostgreSQL's protocol"
        )  # fmt: skip
        raise SlipwayError(
            f"What listens at {server.address} {what}: correct the port, or see what is between here and the server, "
            "such as a proxy whose server is down."
        )
    attempt.tls = said == b"S"
    return "it speaks PostgreSQL's protocol"


def ask(opened: socket.socket) -> bytes | None:
    """What it answers to a request for TLS; nothing where it closes, None where it keeps silent."""
    try:
        opened.sendall(SSL_REQUEST)
        first = opened.recv(1)
        if first in (b"S", b"N", b""):
            return first
        opened.settimeout(0.2)
        with contextlib.suppress(socket.timeout):
            return first + opened.recv(100)
        return first
    except (socket.timeout, TimeoutError):
        return None
    except OSError:
        return b""


def encrypt(attempt: Attempt) -> str:
    """TLS is as ssl_mode wants it, and the certificate is the server's."""
    server, mode = attempt.server, attempt.server.ssl_mode
    if server.socket_dir:
        return "a Unix socket needs none"
    if not attempt.tls:
        if mode in ("require", "verify-ca", "verify-full"):
            raise SlipwayError(
                f"The server offers no TLS, and ssl_mode is {mode}: turn it on there (ssl = on, with a certificate), "
                "or, where nobody else is on the network in between, set ssl_mode to prefer."
            )
        return f"the server offers none, and ssl_mode {mode} goes on without"
    if mode in ("disable", "allow"):
        return f"offered, and not asked for by ssl_mode {mode}"
    if not server.ca_cert:
        if mode.startswith("verify"):
            raise SlipwayError(
                f"ssl_mode is {mode}, and no file is named with the authority that signed the server's certificate: "
                "name it as ca_cert."
            )
        return f"{shake_hands(attempt, context())[0]}; ssl_mode {mode} does not look at whose certificate it is"
    trusting = context(server.ca_cert)
    version, certificate = shake_hands(attempt, trusting)
    if mode == "verify-full":
        trusting.check_hostname = True
        shake_hands(attempt, trusting, names_of(certificate))
    left = ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()
    until = f"until {certificate['notAfter']}" + (f", in {duration(left)}: renew it" if left < SOON else "")
    return f"{version}; the certificate is of {', '.join(names_of(certificate)) or 'nobody'}, {until}"


def context(ca_cert: str | None = None) -> ssl.SSLContext:
    """What a client trusts; anybody without a file of authorities."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED if ca_cert else ssl.CERT_NONE
    if ca_cert:
        try:
            made.load_verify_locations(ca_cert)
        except (OSError, ssl.SSLError) as error:
            raise SlipwayError(
                f"The authority's certificate {ca_cert} can't be read ({plain(error)}): put it on this host in PEM "
                "format."
            ) from error
    return made


def shake_hands(attempt: Attempt, trusting: ssl.SSLContext, names: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    """The protocol's version and the server's certificate, empty where it was not verified."""
    server = attempt.server
    try:
        with contextlib.closing(attempt.reach()) as opened:
            ask(opened)
            with trusting.wrap_socket(opened, server_hostname=server.host or "localhost") as secure:
                return secure.version() or "", secure.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise SlipwayError(explain_certificate(server, error, names)) from error
    except OSError as error:
        raise SlipwayError(
            f"TLS with {server.address} fails ({plain(error)}): see the server's log, and whether both sides have a "
            "version of the protocol in common."
        ) from error


def explain_certificate(server: Server, error: ssl.SSLCertVerificationError, names: Sequence[str]) -> str:
    """What is wrong with the server's certificate, and what to do."""
    if error.verify_code in MISMATCHES:
        return (
            f"The server's certificate is of {', '.join(names) or 'nobody'} and not of {server.host}: name the server "
            f"so, have a certificate made for {server.host}, or set ssl_mode to verify-ca."
        )
    if error.verify_code == EXPIRED:
        return "The server's certificate, or its authority's, has expired: have a new one made, and reload the server."
    if error.verify_code == NOT_YET:
        return "The server's certificate is not valid yet: see the clocks of this host and of the server's."
    return (
        f"The authority in {server.ca_cert} did not sign the server's certificate ({error.verify_message}): name the "
        "file of the one that did, or see whether this is the server that is meant."
    )


def names_of(certificate: dict[str, Any]) -> list[str]:
    """Whom a certificate is made out to: its alternative names, else its common name."""
    alternatives = [str(value) for _kind, value in certificate.get("subjectAltName", ())]
    common = [
        str(value) for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"
    ]  # fmt: skip
    return alternatives or common


def log_in(attempt: Attempt) -> str:
    """The server takes the role and its password; where it refuses the database, another one tells that."""
    server = attempt.server
    try:
        attempt.cursor = attempt.stack.enter_context(session(server))
        return f"role {server.user} is let in"
    except SlipwayError as error:
        attempt.refused = " ".join(str(error.__cause__ or error).split())
        if isinstance(error, LoginRefusedError):
            raise SlipwayError(
                f"The server does not take role {server.user} with this password ({attempt.refused}): correct the "
                "password, or have the role made; the server says the same of both."
            ) from error
        refusal = error
    for other in OTHERS:
        with contextlib.suppress(SlipwayError):
            attempt.cursor = attempt.stack.enter_context(session(server.on(other)))
            return f"role {server.user} is let in, to database {other}"
    if NO_DATABASE.search(attempt.refused) or NO_ACCESS.search(attempt.refused):
        return f"role {server.user} is let in, to no database that is known of"
    if "pg_hba.conf" in attempt.refused:
        advice = f"have a line in pg_hba.conf let in role {server.user} from this host, and reload the server"
    else:
        advice = "see the server's log, which says more than it tells a client"
    raise SlipwayError(
        f"The server at {server.address} does not let in role {server.user} ({attempt.refused}): {advice}."
    ) from refusal


@contextlib.contextmanager
def session(server: Server) -> Iterator[Cursor]:
    """A cursor on autocommit, whose connection asks for nothing that a pooler would refuse."""
    with connection(server, "slipway diagnosis") as opened, opened.cursor() as cursor:
        opened.autocommit = True
        yield cursor


def find_database(attempt: Attempt) -> str:
    """The database is there."""
    server = attempt.server
    if not attempt.refused:
        return f"database {server.database} is there"
    others: list[str] = []
    if attempt.cursor:
        attempt.cursor.execute("SELECT datname FROM pg_catalog.pg_database WHERE NOT datistemplate ORDER BY datname")
        others = [name for (name,) in attempt.cursor.fetchall()]
    if server.database in others or not (others or NO_DATABASE.search(attempt.refused)):
        return f"database {server.database} is there"
    raise SlipwayError(
        f"The server has no database {server.database!r}{', but ' + ', '.join(others) if others else ''}: correct the "
        "name, create it, or see whether this is the server that is meant."
    )


def check_rights(attempt: Attempt) -> str:
    """The role may connect to the database, and use a schema with tables in it where there is any."""
    server = attempt.server
    if attempt.refused:
        granted, allowed = False, "accepting connections" not in attempt.refused
        if attempt.cursor:
            attempt.cursor.execute(
                "SELECT has_database_privilege(oid, 'CONNECT'), datallowconn FROM pg_catalog.pg_database"
                " WHERE datname = %s",
                [server.database],
            )
            granted, allowed = one_row(attempt.cursor)
        advice = (
            f"ALTER DATABASE {quote(server.database)} ALLOW_CONNECTIONS true opens it" if not allowed
            else f"GRANT CONNECT ON DATABASE {quote(server.database)} TO {quote(server.user)}" if not granted
            else "see pg_hba.conf, and the limits of connections of the database and the role"
        )  # fmt: skip
        raise SlipwayError(
            f"Role {server.user} is not let into database {server.database} ({attempt.refused}): {advice}."
        )
    cursor = attempt.session
    cursor.execute(
        "SELECT n.nspname, has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace n"
        " WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'slipway')"
        " AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid AND relkind IN ('r', 'p')) ORDER BY 1"
    )
    found = dict(cursor.fetchall())
    usable = [name for name, allowed in found.items() if allowed]
    if found and not usable:
        raise SlipwayError(
            f"Role {server.user} may use none of the schemas with tables, {', '.join(found)}: GRANT USAGE ON SCHEMA "
            f"{quote(next(iter(found)))} TO {quote(server.user)}, and the rights on its tables."
        )
    closed = [name for name in found if name not in usable]
    told = f"may connect, and use {', '.join(usable)}" if usable else "may connect; there are no tables yet"
    return told + (f", but not {', '.join(closed)}" if closed else "")


def see_version(attempt: Attempt) -> str:
    """The server is new enough."""
    check_version(attempt.version)
    attempt.session.execute("SHOW server_version")
    return f"PostgreSQL {one_row(attempt.session)[0]}"


def find_pooler(attempt: Attempt) -> str:
    """No pooler such as PgBouncer is in between.

    One gives the client a key of its own, in place of that of the server's process with its number (section 55.2.1).
    """
    cursor = attempt.session
    cursor.execute("SELECT pg_backend_pid()")
    if one_row(cursor)[0] != cursor.connection.info.backend_pid:
        raise SlipwayError(
            "A pooler such as PgBouncer is between here and the server, since the session has another number than the "
            "server's process: what belongs to a session, such as settings, advisory locks and prepared statements, is "
            "lost in its transaction mode, so name the server itself for Slipway, and the pooler for the application "
            "alone."
        )
    return "none: the session is the server's own"


STEPS: tuple[tuple[str, Callable[[Attempt], str]], ...] = (
    ("name", resolve),
    ("port", knock),
    ("protocol", greet),
    ("TLS", encrypt),
    ("login", log_in),
    ("database", find_database),
    ("rights", check_rights),
    ("version", see_version),
    ("pooler", find_pooler),
)
