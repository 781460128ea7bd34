# SPDX-License-Identifier: GPL-3.0-or-later
"""Leads the connections of an application to one database of a server, whatever database they ask for.

Run as ``python copy_relay.py SPEC``, an object with ``listen`` and ``server`` (each a path of a Unix socket, or a list
of host and port), ``database``, and ``errors``, a file to which each error that the server answers with is written, a
line of JSON each; ``certificate``, a file with a certificate and its key, where the application may ask for TLS; and
``ssl_mode`` and ``authority``, libpq's sslmode and sslrootcert for a server that is at a host. Nothing but that one
database can be reached. It needs nothing but Python's standard library, for it is copied to the host as one file.

User and password are the application's own, and pass through. Where the server is reached by TLS the application is
asked for its password, and logged in with it: what it would send with SCRAM is for one TLS connection, which ends here
(manual, "SASL Authentication").

The messages are those of PostgreSQL's protocol 3 (manual, chapter "Frontend/Backend Protocol").
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import socket
import ssl
import sys
import time
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Read = Callable[[int], Awaitable[bytes]]

TLS, GSS, CANCEL = 80877103, 80877104, 80877102  # what the first message may ask for instead of a session
HERE, NOT_HERE = b"S", b"N"
LARGEST_START = 10_000  # bytes, as in the server
LARGEST_LOGIN = 1 << 16  # bytes of a message before a session, as libpq has it
ERROR = ord("E")
ANSWERS_WITHIN = 10  # seconds
LOGGED_IN, CLEARTEXT, MD5, SASL, SASL_GOES_ON, SASL_ENDS = 0, 3, 5, 10, 11, 12  # what a server asks for
SCRAM = b"SCRAM-SHA-256"
SEVERITIES = ("ERROR", "FATAL", "PANIC")


def led_to(start: bytes, database: str) -> bytes:
    """A startup message that asks for ``database``, and for nothing that reaches beyond it."""
    pairs = pairs_of(start)
    pairs.pop(b"replication", None)
    pairs[b"database"] = database.encode()
    body = start[4:8] + b"".join(name + b"\0" + value + b"\0" for name, value in pairs.items()) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


def pairs_of(start: bytes) -> dict[bytes, bytes]:
    """What a startup message asks for."""
    words = start[8:].split(b"\0")
    return {name: value for name, value in zip(words[::2], words[1::2]) if name}


class Errors:
    """Finds the errors in what a server sends, which may come in pieces."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[dict[str, str]]:
        """The errors whose last byte has come: ``severity``, ``code`` (SQLSTATE) and ``message``."""
        self._data += data
        found = []
        while len(self._data) >= 5:
            end = int.from_bytes(self._data[1:5], "big") + 1
            if len(self._data) < end:
                break
            if self._data[0] == ERROR:
                found.append(self._parse(bytes(self._data[5:end])))
            del self._data[:end]
        return found

    @staticmethod
    def _parse(fields: bytes) -> dict[str, str]:
        texts = {chr(field[0]): field[1:].decode(errors="replace") for field in fields.split(b"\0") if field}
        return {"severity": texts.get("V", ""), "code": texts.get("C", ""), "message": texts.get("M", "")}


# The application's side


async def first_message(read: Read) -> bytes:
    size = int.from_bytes(await read(4), "big")
    if not 8 <= size <= LARGEST_START:
        raise ValueError(f"a first message of {size} bytes")
    return size.to_bytes(4, "big") + await read(size - 4)


async def begin(client: socket.socket, tls: ssl.SSLContext | None) -> tuple[Streams, bytes]:
    """The first message about a session or its cancelling, after encryption was refused or agreed on."""
    loop = asyncio.get_running_loop()

    async def read(size: int) -> bytes:
        found = b""
        while len(found) < size:
            more = await loop.sock_recv(client, size - len(found))
            if not more:
                raise EOFError("it has hung up")
            found += more
        return found

    while True:
        message = await first_message(read)
        asked = int.from_bytes(message[4:8], "big")
        if asked not in (TLS, GSS):
            return await accepted(client), message
        begins = tls if asked == TLS else None
        await loop.sock_sendall(client, HERE if begins else NOT_HERE)
        if begins:
            streams = await accepted(client, begins)
            return streams, await first_message(streams[0].readexactly)


async def accepted(client: socket.socket, tls: ssl.SSLContext | None = None) -> Streams:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, client, ssl=tls)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def serving_context(certificate: str) -> ssl.SSLContext | None:
    if not certificate:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


# The server's side


async def reach(spec: dict[str, Any]) -> tuple[Streams, bool]:
    """A connection to the server, and whether it is encrypted. Raises OSError."""
    server = spec["server"]
    if isinstance(server, str):
        return await asyncio.open_unix_connection(server), False
    host, port = server
    mode = spec.get("ssl_mode", "disable")
    loop = asyncio.get_running_loop()
    connected, encrypted = await loop.run_in_executor(None, knock, host, port, mode)
    tls = reaching_context(mode, spec.get("authority", "")) if encrypted else None
    return await asyncio.open_connection(sock=connected, ssl=tls, server_hostname=host if tls else None), encrypted


def knock(host: str, port: int, mode: str) -> tuple[socket.socket, bool]:
    """Connect, and ask for TLS where ``mode``, libpq's sslmode, wants it."""
    connected = socket.create_connection((host, port), ANSWERS_WITHIN)
    encrypted = False
    if mode not in ("disable", "allow"):
        connected.sendall((8).to_bytes(4, "big") + TLS.to_bytes(4, "big"))
        encrypted = connected.recv(1) == HERE
        if not encrypted and mode != "prefer":
            connected.close()
            raise ConnectionError("it has no TLS")
    connected.setblocking(False)
    return connected, encrypted


def reaching_context(mode: str, authority: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = mode == "verify-full"
    if mode.startswith("verify"):
        made.load_verify_locations(authority) if authority else made.load_default_certs()
    else:
        made.verify_mode = ssl.CERT_NONE
    return made


class Scram:
    """The answers of one that logs in by SCRAM-SHA-256 (RFC 5802 and 7677), bound to no TLS connection."""

    def __init__(self, password: bytes, nonce: str = "") -> None:
        self._password = prepared(password)
        self._bare = f"n=,r={nonce or secrets.token_urlsafe(18)}".encode()
        self._expected = b""

    def first(self) -> bytes:
        return b"n,," + self._bare

    def final(self, first_of_server: bytes) -> bytes:
        """The answer to the server's nonce, salt and count."""
        told = fields(first_of_server)
        salted = hashlib.pbkdf2_hmac("sha256", self._password, base64.b64decode(told["s"]), int(told["i"]))
        key = digest(salted, b"Client Key")
        without_proof = f"c=biws,r={told['r']}".encode()
        said = b",".join((self._bare, first_of_server, without_proof))
        signature = digest(hashlib.sha256(key).digest(), said)
        self._expected = digest(digest(salted, b"Server Key"), said)
        proof = bytes(one ^ other for one, other in zip(key, signature))
        return without_proof + b",p=" + base64.b64encode(proof)

    def insist(self, final_of_server: bytes) -> None:
        """ValueError where the server does not know the password."""
        if not hmac.compare_digest(base64.b64decode(fields(final_of_server).get("v", "")), self._expected):
            raise ValueError("it does not know the password")


def digest(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, "sha256").digest()


def fields(message: bytes) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in message.decode().split(","))
    return {name: value for name, _, value in pairs}


def prepared(password: bytes) -> bytes:
    """As SASLprep has it (RFC 4013), which leaves ASCII as it is; what is not UTF-8 the server takes as it is."""
    try:
        return unicodedata.normalize("NFKC", password.decode()).encode()
    except UnicodeDecodeError:
        return password


def by_md5(password: bytes, user: bytes, salt: bytes) -> bytes:
    inner = hashlib.md5(password + user).hexdigest().encode()
    return b"md5" + hashlib.md5(inner + salt).hexdigest().encode()


async def log_in(application: Streams, server: Streams, user: bytes, errors: str) -> None:
    """Log the application in with the password that it is asked for. It is told what the server says in the end."""
    password: bytes | None = None
    scram: Scram | None = None
    while True:
        kind, body = await message_of(server[0])
        asked = int.from_bytes(body[:4], "big") if kind == b"R" else LOGGED_IN
        if asked == LOGGED_IN:
            note(errors, Errors().feed(framed(kind, body)))
            application[1].write(framed(kind, body))
            if kind in b"RE":
                return
        elif asked == SASL_ENDS and scram:
            scram.insist(body[4:])
        else:
            if password is None:
                application[1].write(framed(b"R", CLEARTEXT.to_bytes(4, "big")))
                password = (await message_of(application[0]))[1].rstrip(b"\0")
            if asked == CLEARTEXT:
                answer = password + b"\0"
            elif asked == MD5:
                answer = by_md5(password, user, body[4:]) + b"\0"
            elif asked == SASL and SCRAM in body[4:].split(b"\0"):
                scram = Scram(password)
                answer = SCRAM + b"\0" + len(scram.first()).to_bytes(4, "big") + scram.first()
            elif asked == SASL_GOES_ON and scram:
                answer = scram.final(body[4:])
            else:
                raise ValueError(f"it asks for another way to log in ({asked})")
            server[1].write(framed(b"p", answer))


async def message_of(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind, size = await reader.readexactly(1), int.from_bytes(await reader.readexactly(4), "big")
    if not 4 <= size <= LARGEST_LOGIN:
        raise ValueError(f"a message of {size} bytes before a session")
    return kind, await reader.readexactly(size - 4)


def framed(kind: bytes, body: bytes) -> bytes:
    return kind + (len(body) + 4).to_bytes(4, "big") + body


# Both


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, errors: str = "") -> None:
    """Pass bytes on until the sender has ended, then say so to the receiver; note errors in the file ``errors``."""
    watch = Errors()
    while data := await reader.read(65536):
        if errors:
            note(errors, watch.feed(data))
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    else:
        writer.close()  # TLS ends in both directions at once


@contextlib.contextmanager
def noting(errors: str) -> Iterator[None]:
    """Note why no session begins, with the code that SQL has for it."""
    try:
        yield
    except (OSError, ValueError) as error:
        message = f"The server of the copy can't be used: {error}"
        note(errors, [{"severity": "FATAL", "code": "08001", "message": message}])
        raise


def note(path: str, found: list[dict[str, str]]) -> None:
    """Append them, before the application is told: who reads its answer finds them there."""
    if found:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps({**each, "time": time.time()}) + "\n" for each in found)


async def visit(spec: dict[str, Any], client: socket.socket, tls: ssl.SSLContext | None) -> None:
    """One connection, from its first byte to its last."""
    errors = spec["errors"]
    try:
        application, message = await begin(client, tls)
    except (OSError, ValueError, EOFError):
        client.close()
        return
    with contextlib.closing(application[1]), contextlib.suppress(OSError, ValueError, EOFError):
        cancels = int.from_bytes(message[4:8], "big") == CANCEL
        with noting(errors):
            server, encrypted = await reach(spec)
        with contextlib.closing(server[1]):
            server[1].write(message if cancels else led_to(message, spec["database"]))
            if encrypted and not cancels:
                with noting(errors):
                    await log_in(application, server, pairs_of(message).get(b"user", b""), errors)
            await asyncio.gather(pass_on(application[0], server[1]), pass_on(server[0], application[1], errors))


def listener(listen: Any) -> socket.socket:
    if not isinstance(listen, str):
        return socket.create_server(tuple(listen), family=socket.AF_INET6 if ":" in listen[0] else socket.AF_INET)
    os.umask(0o077)
    made = socket.socket(socket.AF_UNIX)
    made.bind(listen)
    made.listen(128)
    return made


async def main(spec: dict[str, Any]) -> None:
    loop = asyncio.get_running_loop()
    tls = serving_context(spec.get("certificate", ""))
    visits: set[asyncio.Future[None]] = set()  # the loop itself holds none of its tasks
    with listener(spec["listen"]) as listening:
        listening.setblocking(False)
        while True:
            client, _address = await loop.sock_accept(listening)
            visits = {each for each in visits if not each.done()} | {asyncio.ensure_future(visit(spec, client, tls))}


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
