# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest release: ``serve.py HOST PORT``; answers every GET with what RELEASE says, /slow?seconds=N after N s.

SAYS is what it says in X-Release instead. BROKEN has it answer 503 and log what it was given as DATABASE_URL.
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RELEASE = os.environ["RELEASE"]
SAYS = os.environ.get("SAYS", RELEASE)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, _, seconds = self.path.partition("?seconds=")
        if path == "/slow":
            time.sleep(float(seconds))
        body = json.dumps({"status": "ok", "release": RELEASE}).encode()
        self.send_response(503 if os.environ.get("BROKEN") else 200)
        self.send_header("Content-Type", "application/json")
        if SAYS:
            self.send_header("X-Release", SAYS)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the tests look for what the release says when it fails."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if os.environ.get("CRASH"):
    sys.exit("no such setting: CRASH")
if os.environ.get("BROKEN"):
    print("the cellar is flooded at", os.environ.get("DATABASE_URL"), flush=True)
Server((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
