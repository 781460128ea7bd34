# SPDX-License-Identifier: GPL-3.0-or-later
"""A small application with a database: ``serve.py HOST PORT`` answers with what its DATABASE_URL holds.

It keeps one connection and prepares its statements, as many applications do. FAILS has every request but that for its
readiness fail, AWAY has it ask that address before it is ready, and WRITES has it write a file where it runs.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg

URL = os.environ["DATABASE_URL"]
READS = {
    "/readyz": "SELECT 1",
    "/orders": "SELECT * FROM orders ORDER BY id",
    "/totals": "SELECT sum(cents) FROM orders",
    "/open": "SELECT count(*) FROM open_orders",
    "/held": "SELECT count(*) FROM orders WHERE status = 'held'",
}
ADD = "INSERT INTO orders (reference, cents) VALUES (%s, 1)"
# An own file, which another release may have otherwise.
READS |= json.loads(Path("reads.json").read_text()) if Path("reads.json").exists() else {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    connection_to: psycopg.Connection[tuple[object, ...]] | None = None
    lock = threading.Lock()

    def query(self, text: str, *values: str) -> list[tuple[object, ...]]:
        with Handler.lock:
            if Handler.connection_to is None or Handler.connection_to.closed:
                Handler.connection_to = psycopg.connect(URL, autocommit=True)
            found = Handler.connection_to.execute(text, values or None, prepare=True)
            return found.fetchall() if found.description else []

    def answer(self, status: int, body: object) -> None:
        text = json.dumps(body, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def work(self, text: str | None, *values: str) -> None:
        if text is None:
            self.answer(404, "there is no such page")
            return
        try:
            if os.environ.get("FAILS") and self.path != "/readyz":
                raise ValueError("the cellar is flooded")
            self.answer(200, self.query(text, *values))
        except psycopg.errors.UniqueViolation:
            self.answer(409, "there is one already")
        except (psycopg.Error, ValueError) as error:
            print(f"it failed at {URL}: {error}", file=sys.stderr, flush=True)
            self.answer(500, "it failed")

    def do_GET(self) -> None:
        self.work(READS.get(self.path))

    def do_POST(self) -> None:
        reference = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["reference"]
        self.work(ADD if self.path == "/orders" else None, reference)

    def log_message(self, *_arguments: object) -> None:
        pass


if os.environ.get("WRITES"):
    Path("written").write_text("by the application")
if os.environ.get("AWAY"):
    host, port = os.environ["AWAY"].split(":")
    socket.create_connection((host, int(port)), timeout=2).close()
ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
