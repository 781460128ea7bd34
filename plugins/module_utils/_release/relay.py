# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay: holds a public port and passes each connection on to the release that serves now.

Run as ``python relay.py ADDRESS PORT STATE``. It reads STATE at each new connection, so that replacing that file is the
switch: what connects before goes to the old release, what connects after to the new one, and the port is never closed.
It needs nothing but Python's standard library, for it is copied to the host as one file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

BACKEND = "127.0.0.1"
BODY = b'{"detail": "The application is not running."}\n'
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s" % (len(BODY), BODY)
)


def serving_port(state: str) -> int:
    """The port of the release that serves now; 0 when there is none."""
    with open(state, encoding="utf-8") as file:
        return int((json.load(file)["app"] or {"port": 0})["port"])


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the sender has ended, then say so to the receiver; OSError when either has broken off."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request when there is no release to pass it on to."""
    await reader.read(65536)  # an answer to a request that was not read would be lost in a reset
    writer.write(UNAVAILABLE)
    await writer.drain()


async def visit(state: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, from its first byte to its last: where one side breaks off, the other is told at once."""
    with contextlib.closing(writer), contextlib.suppress(OSError):
        try:
            answers, inner = await asyncio.open_connection(BACKEND, serving_port(state))
        except (OSError, ValueError, KeyError):
            await refuse(reader, writer)
            return
        with contextlib.closing(inner):
            await asyncio.gather(pump(reader, inner), pump(answers, writer))


async def main(address: str, port: int, state: str) -> None:
    server = await asyncio.start_server(
        lambda reader, writer: visit(state, reader, writer), address, port, backlog=1024
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
