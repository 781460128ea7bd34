# SPDX-License-Identifier: GPL-3.0-or-later
"""An application with ways of its own: its own security headers, events, chunks, a WebSocket, and no release header."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == "/own-headers":
            self.answer(200, b"<h1>Mine</h1>", Content_Security_Policy="default-src *", X_Frame_Options="SAMEORIGIN")
        elif self.path == "/events":
            self.stream("text/event-stream", [f"data: {number}\n\n".encode() for number in range(3)], pause=1)
        elif self.path == "/chunks":
            self.stream("text/plain", [b"x" * 1000] * 50)
        elif self.path == "/socket":
            self.socket()
        elif self.path == "/failing":
            self.answer(503, b"own words")
        else:
            self.answer(200, json.dumps(dict(self.headers.items())).encode(), Content_Type="application/json")

    def stream(self, kind: str, chunks: list[bytes], pause: float = 0) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
            time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")

    def socket(self) -> None:
        """Take up a WebSocket, send back its first message (short, masked), and hang up."""
        accept = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + MAGIC).encode()).digest())
        self.send_response(101)
        for name, value in (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept.decode()),
        ):
            self.send_header(name, value)
        self.end_headers()
        length = self.rfile.read(2)[1] & 0x7F
        mask, payload = self.rfile.read(4), self.rfile.read(length)
        text = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        self.wfile.write(bytes([0x81, length]) + text)
        self.close_connection = True

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        size = 0
        while size < left:
            size += len(self.rfile.read(min(65536, left - size)))
        self.answer(200, str(size).encode())

    def log_message(self, *_arguments: object) -> None:
        pass


ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
