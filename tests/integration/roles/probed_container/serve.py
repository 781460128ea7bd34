# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest application with a database, for an image without a driver: it speaks the protocol to who trusts it.

``/readyz`` asks for a 1 and ``/orders`` for the references of table orders. AWAY is an address that it needs to start,
AUTHORITY the file of who signed the server's certificate, on which it insists then.
"""

from __future__ import annotations

import os
import socket
import ssl
from http.server import BaseHTTPRequestHandler, HTTPServer

QUERIES = {"/readyz": "SELECT 1", "/orders": "SELECT reference FROM orders"}


def read(client: socket.socket) -> bytes:
    """The kinds of the messages up to the one that says that the server is ready."""
    kinds, data = b"", b""
    while not kinds.endswith(b"Z"):
        while len(data) < 5 or len(data) < int.from_bytes(data[1:5], "big") + 1:
            found = client.recv(65536)
            if not found:
                raise OSError("the server hung up")
            data += found
        kinds, data = kinds + data[:1], data[int.from_bytes(data[1:5], "big") + 1 :]
    return kinds


def reached() -> socket.socket:
    host = os.environ["DATABASE_HOST"]
    client = socket.create_connection((host, 5432), timeout=5)
    if "AUTHORITY" in os.environ:
        client.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))  # SSLRequest
        if client.recv(1) != b"S":
            raise OSError("the server has no TLS")
        client = ssl.create_default_context(cafile=os.environ["AUTHORITY"]).wrap_socket(client, server_hostname=host)
    return client


def query(text: str) -> bytes:
    with reached() as client:
        pairs = f"user\0{os.environ['DATABASE_USER']}\0database\0{os.environ['DATABASE_NAME']}\0\0".encode()
        client.sendall((len(pairs) + 8).to_bytes(4, "big") + (196608).to_bytes(4, "big") + pairs)
        read(client)
        body = text.encode() + b"\0"
        client.sendall(b"Q" + (len(body) + 4).to_bytes(4, "big") + body)
        return read(client)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        try:
            kinds = query(QUERIES[self.path])
        except OSError as error:
            print("no database:", error, flush=True)
            kinds = b"E"
        self.send_response(500 if b"E" in kinds else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


if "AWAY" in os.environ:
    host, port = os.environ["AWAY"].split(":")
    socket.create_connection((host, int(port)), timeout=3).close()
HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
