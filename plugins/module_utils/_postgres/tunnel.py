# SPDX-License-Identifier: GPL-3.0-or-later
"""Leads a Unix socket on one host to a Unix socket on another, over TLS between two ends that know each other's key.

Run as ``python tunnel.py SPEC`` in a directory of its own. SPEC is an object with ``key``, a file with the key and the
certificate of this end; ``peer``, a file with the certificate of the other; and, for the near end, ``listen``, the path
of a socket, and ``to``, host and port of the far end; or, for the far end, ``listen``, an address and a port (0 for a
free one, which then is in the file ``port``), ``to``, the path of a socket, and ``removes``: the directories to delete
and the ``container`` to remove, when its server has ended.

A server that nobody holds any more is removed: the near end says that it is there every ``BEAT`` seconds, and that it
ends where it is told to; a far end that has heard nothing for ``PATIENCE`` seconds takes the near one for dead. It
needs nothing but Python's standard library, for it is copied to the host as one file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from typing import Any

SESSION, HOLD, END = b"S", b"H", b"E"  # what the first byte of a connection says that it is for
BEAT = 5.0  # seconds
PATIENCE = 60.0
WITHIN = 10.0  # seconds to connect, and to end
POLL = 0.1
ANY_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: the keys are new, and the clocks of two hosts may differ


def context(spec: dict[str, Any]) -> ssl.SSLContext:
    """TLS with whoever has the key of the other end's certificate, and with nobody else."""
    near = isinstance(spec["listen"], str)
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if near else ssl.PROTOCOL_TLS_SERVER)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_REQUIRED
    found.verify_flags = ssl.VerifyFlags(found.verify_flags | ANY_TIME)
    found.load_cert_chain(spec["key"])
    found.load_verify_locations(spec["peer"])
    return found


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on until the sender has ended; PostgreSQL's protocol knows no end of one direction alone."""
    with contextlib.closing(writer):
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()


class Near:
    """The end on whose host the copy is used."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._tls = context(spec)

    async def serve(self) -> None:
        """Until the process is told to end; then the server at the other end goes, too."""
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        reader, writer = await self._reach(HOLD)  # before there is anything to connect to
        await asyncio.wait_for(reader.readexactly(1), WITHIN)  # where it is let in
        os.umask(0o077)
        server = await asyncio.start_unix_server(self._visit, self._spec["listen"])
        holding = asyncio.ensure_future(self._hold(reader, writer))
        async with server:
            await told.wait()
        holding.cancel()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            reader, writer = await self._reach(END)
            await asyncio.wait_for(reader.read(1), 2 * WITHIN)  # which comes to its end when the other is done
            writer.close()

    async def _reach(self, purpose: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self._spec["to"]
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port, ssl=self._tls), WITHIN)
        writer.write(purpose)
        await writer.drain()
        return reader, writer

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.TimeoutError), contextlib.closing(writer):
                while not reader.at_eof():
                    writer.write(HOLD)
                    await writer.drain()
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(reader.read(1), BEAT)
            await asyncio.sleep(POLL)
            with contextlib.suppress(OSError, asyncio.TimeoutError):
                reader, writer = await self._reach(HOLD)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.TimeoutError):
            answers, inner = await self._reach(SESSION)
            await asyncio.gather(pump(reader, inner), pump(answers, writer))


class Far:
    """The end on whose host the server is."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._heard = time.monotonic()
        self._over = asyncio.Event()

    async def serve(self) -> None:
        """Until the near end has gone; then the server is removed with all that it holds."""
        address, port = self._spec["listen"]
        tls = context(self._spec)
        server = await asyncio.start_server(self._visit, address, port, ssl=tls, ssl_handshake_timeout=WITHIN)
        with open("port.partial", "w", encoding="ascii") as file:
            file.write(str(server.sockets[0].getsockname()[1]))
        os.replace("port.partial", "port")
        async with server:
            while not self._over.is_set() and time.monotonic() - self._heard < PATIENCE:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._over.wait(), 1)
        if not self._over.is_set():
            remove(self._spec["removes"])

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError):
            purpose = await reader.readexactly(1)
            self._heard = time.monotonic()
            if purpose == SESSION:
                answers, inner = await asyncio.open_unix_connection(self._spec["to"])
                await asyncio.gather(pump(reader, inner), pump(answers, writer))
            elif purpose == HOLD:
                writer.write(HOLD)
                while await reader.read(64):
                    self._heard = time.monotonic()
            elif purpose == END:
                remove(self._spec["removes"])
                self._over.set()


def remove(what: dict[str, Any]) -> None:
    """End the server, and delete its container or directories."""
    if what["container"]:
        subprocess.run(["docker", "rm", "--force", "--volumes", what["container"]], check=False)
    with contextlib.suppress(OSError, ValueError), open("data/postmaster.pid", encoding="ascii") as file:
        quit_server(int(file.readline()))  # where it has not ended by itself
    for directory in what["directories"]:
        shutil.rmtree(directory, ignore_errors=True)  # nobody is left who could be told


def quit_server(pid: int) -> None:
    """At once, without a checkpoint (manual, section "Shutting Down the Server")."""
    begin = time.monotonic()
    os.kill(pid, signal.SIGQUIT)
    while runs(pid):
        if time.monotonic() - begin > WITHIN:
            os.kill(pid, signal.SIGKILL)
        time.sleep(POLL)


def runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def main(spec: dict[str, Any]) -> None:
    await (Near(spec) if isinstance(spec["listen"], str) else Far(spec)).serve()


if __name__ == "__main__":
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except asyncio.IncompleteReadError:
        sys.exit("the other end has hung up")
    except (OSError, asyncio.TimeoutError) as failure:
        sys.exit(str(failure) or f"no answer within {WITHIN:g} s")
