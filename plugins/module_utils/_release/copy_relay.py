# SPDX-License-Identifier: GPL-3.0-or-later
"""Leads the connections of an application to one database of a server, whatever database they ask for.

Run as ``python copy_relay.py SPEC``, an object with ``listen`` and ``server`` (each a path of a Unix socket, or a list
of host and port), ``database``, and ``errors``, a file to which each error that the server answers with is written, a
line of JSON each. User and password are the application's own and pass through; nothing but that one database can be
reached. It needs nothing but Python's standard library, for it is copied to the host as one file.

The messages are those of PostgreSQL's protocol 3 (manual, chapter "Frontend/Backend Protocol").
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from typing import Any

TLS, GSS, CANCEL = 80877103, 80877104, 80877102  # what the first message may ask for instead of a session
NOT_HERE = b"N"
LARGEST_START = 10_000  # bytes, as in the server
ERROR = ord("E")
SEVERITIES = ("ERROR", "FATAL", "PANIC")


def led_to(start: bytes, database: str) -> bytes:
    """A startup message that asks for ``database``, and for nothing that reaches beyond it."""
    words = start[8:].split(b"\0")
    pairs = {name: value for name, value in zip(words[::2], words[1::2]) if name}
    pairs.pop(b"replication", None)
    pairs[b"database"] = database.encode()
    body = start[4:8] + b"".join(name + b"\0" + value + b"\0" for name, value in pairs.items()) + b"\0"
    return (len(body) + 4).to_bytes(4, "big") + body


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


async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The first message about a session or its cancelling. Encryption is refused, since nothing leaves the host."""
    while True:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if not 8 <= size <= LARGEST_START:
            raise ValueError(f"a first message of {size} bytes")
        message = size.to_bytes(4, "big") + await reader.readexactly(size - 4)
        if int.from_bytes(message[4:8], "big") not in (TLS, GSS):
            return message
        writer.write(NOT_HERE)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, errors: str = "") -> None:
    """Pass bytes on until the sender has ended, then say so to the receiver; note errors in the file ``errors``."""
    watch = Errors()
    while data := await reader.read(65536):
        if errors:
            note(errors, watch.feed(data))
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def note(path: str, found: list[dict[str, str]]) -> None:
    """Append them, before the application is told: who reads its answer finds them there."""
    if found:
        with open(path, "a", encoding="utf-8") as file:
            file.writelines(json.dumps({**each, "time": time.time()}) + "\n" for each in found)


async def reach(server: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(server, str):
        return await asyncio.open_unix_connection(server)
    return await asyncio.open_connection(*server)


async def visit(spec: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, from its first byte to its last."""
    with contextlib.closing(writer), contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
        message = await begin(reader, writer)
        answers, inner = await reach(spec["server"])
        with contextlib.closing(inner):
            cancels = int.from_bytes(message[4:8], "big") == CANCEL
            inner.write(message if cancels else led_to(message, spec["database"]))
            await asyncio.gather(pass_on(reader, inner), pass_on(answers, writer, spec["errors"]))


async def main(spec: dict[str, Any]) -> None:
    def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        return visit(spec, reader, writer)

    listen = spec["listen"]
    if isinstance(listen, str):
        os.umask(0o077)
        server = await asyncio.start_unix_server(visited, listen)
    else:
        server = await asyncio.start_server(visited, *listen)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
