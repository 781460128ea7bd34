# SPDX-License-Identifier: GPL-3.0-or-later
"""Becomes a command that has a network of its own, which leads nowhere, and finds other directories in some places.

Run as ``python trial_gate.py SPEC``, an object with ``argv`` and its ``directory``; ``http``, the path of a Unix socket
that leads to the command's ``port``; ``ports``, each an address that the network has to itself, a port there, and the
Unix socket that it leads to; ``mounts``, pairs of a directory or file and the place where it is found; and ``trees``,
each with the ``layers`` that are seen in a ``place``, the first on top, and a directory ``scratch``: what is written in
that place goes there, and with the command. It needs Linux, and nothing but Python's standard library. An ordinary user
needs namespaces of users; who may not have them is told so, and nothing runs.

With ``network_of``, a process, in place of a command, it leads into the network that this process has, as long as it is
not told to end. That takes root.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import json
import os
import signal
import socket
import struct
import sys
import time
from typing import Any

NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000  # clone(2)
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18  # mount(2)
DIE_WITH_PARENT = 1  # prctl(2)
SET_FLAGS, SET_ADDRESS, SET_MASK, UP, RUNNING = 0x8914, 0x8916, 0x891C, 0x1, 0x40  # netdevice(7)
LOOPBACK = "127.0.0.1"
TENTATIVE = 5  # seconds, at most

libc = ctypes.CDLL(None, use_errno=True)


def insist(outcome: int, what: str) -> None:
    if outcome:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = [text.encode() if text else None for text in (source, target, kind)]
    insist(libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None), f"mount {target}")


def leave() -> bool:
    """Leave the host's network and mounts. Whether that took a namespace of users, as without the right to do it."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(NEW_NETWORK | NEW_MOUNTS) == 0:
        return False
    insist(libc.unshare(NEW_USER | NEW_NETWORK | NEW_MOUNTS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    return True


def enter_network(process: int) -> None:
    with open(f"/proc/{process}/ns/net", "rb") as network:
        insist(libc.setns(network.fileno(), NEW_NETWORK), "setns")


def bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sH14s", b"lo", UP | RUNNING, b""))


def add_to_loopback(address: str) -> None:
    """Have an address here that is another host's elsewhere: netdevice(7), and ipv6(7) for ``in6_ifreq``."""
    if ":" in address:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
            packed = socket.inet_pton(socket.AF_INET6, address)
            fcntl.ioctl(any_socket, SET_ADDRESS, struct.pack("16sIi", packed, 128, socket.if_nametoindex("lo")))
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for request, found in ((SET_ADDRESS, address), (SET_MASK, "255.255.255.255")):
                packed = struct.pack("16sHH4s8x", b"lo:0", socket.AF_INET, 0, socket.inet_aton(found))
                fcntl.ioctl(any_socket, request, packed)


def arrange(spec: dict[str, Any], as_user: bool) -> None:
    """Put directories in their places."""
    mount("none", "/", "", RECURSIVE | PRIVATE)
    for tree in spec["trees"]:
        mount("tmpfs", tree["scratch"], "tmpfs", 0, "mode=0700")
        upper, work = (os.path.join(tree["scratch"], name) for name in ("upper", "work"))
        os.mkdir(upper)
        os.mkdir(work)
        layers = ":".join(path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for path in tree["layers"])
        options = f"lowerdir={layers},upperdir={upper},workdir={work}{',userxattr' if as_user else ''}"
        mount("overlay", tree["place"], "overlay", 0, options)
    for source, place in spec["mounts"]:
        mount(source, place, "", BIND)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


async def lead(sockets: list[tuple[socket.socket, Any]]) -> None:
    """Lead what connects to each of the sockets to a port of the loopback or to a Unix socket."""

    def visit(target: Any) -> Any:
        async def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                opened = (
                    asyncio.open_unix_connection(target)
                    if isinstance(target, str)
                    else asyncio.open_connection(LOOPBACK, target)
                )
                answers, inner = await opened
                await asyncio.gather(pump(reader, inner), pump(answers, writer))
                inner.close()
            except OSError:
                pass  # nobody listens yet, or somebody has hung up, as the other side sees too
            writer.close()

        return visited

    for listening, target in sockets:
        unix = listening.family == socket.AF_UNIX
        await (asyncio.start_unix_server if unix else asyncio.start_server)(visit(target), sock=listening)
    await asyncio.Event().wait()


def bound(address: str, port: int) -> socket.socket:
    """A socket there, once the system has the address: of IPv6 it is only tentative at first (RFC 4862)."""
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    deadline = time.monotonic() + TENTATIVE
    while True:
        try:
            made.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return made


def listeners(spec: dict[str, Any]) -> list[tuple[socket.socket, Any]]:
    http = socket.socket(socket.AF_UNIX)
    http.bind(spec["http"])
    sockets: list[tuple[socket.socket, Any]] = [(http, spec["port"])]
    for address, port, target in spec["ports"]:
        if address not in (LOOPBACK, "::1"):
            add_to_loopback(address)
        sockets.append((bound(address, port), target))
    for listening, _target in sockets:
        listening.listen(128)
    return sockets


def lead_into(process: int, spec: dict[str, Any]) -> None:
    try:
        enter_network(process)
        sockets = listeners(spec)
    except OSError as error:
        sys.exit(f"This user can't enter the network of a container ({error.strerror or error}).")
    asyncio.run(lead(sockets))


def main(spec: dict[str, Any]) -> None:
    if "network_of" in spec:
        lead_into(spec["network_of"], spec)
    try:
        as_user = leave()
        bring_up_loopback()
        sockets = listeners(spec)
        arrange(spec, as_user)
        os.chdir(spec["directory"])
    except OSError as error:
        sys.exit(f"This user can't run a process apart from the host ({error.strerror or error}).")
    parent = os.getpid()
    if os.fork() == 0:
        libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() == parent:
            asyncio.run(lead(sockets))
        os._exit(0)
    try:
        os.execvp(spec["argv"][0], spec["argv"])
    except OSError as error:
        sys.exit(f"{spec['argv'][0]} can't be started: {error.strerror}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
