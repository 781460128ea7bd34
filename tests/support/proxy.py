# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with an nginx in a container and releases behind it, of which the engine is a script and nginx a thread.

A configuration has a line: the container that it leads to, the release that this one says it is, and faults: ``broken``
is refused by nginx's own test, ``down`` answers 503, ``busy`` keeps the workers of before, ``turns`` has an old worker
answer every second request. Where there is a file ``late``, nginx reads its configuration a moment after it was told.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.modules import run_module

SECRET = "hunter2-secret"
ENGINE = """#!/bin/bash
cd "{home}" && echo "$*" >>calls
none() {{ echo "Error: No such $1: $2" >&2; exit 1; }}
case "$1 $2" in
  "container inspect")
    [ -e "containers/$5" ] || none container "$5"
    case "$4" in
      *Config.Env*) echo '["PASSWORD={secret}"]' ;;
      *Mounts*) echo '[]' ;;
      *Image*) echo an-image ;;
      *) cat "containers/$5" ;;
    esac ;;
  "image inspect") echo '[]' ;;
  "exec new") [ -e passes ] ;;
  "exec "*)
    case "$*" in
      *" -t") ! grep -qr broken conf || {{ echo "nginx: [emerg] unknown directive"; exit 1; }} ;;
      *)
        read_it() {{
          (shopt -s nullglob; cat conf/nginx.conf conf/sites/*.conf) >served.new; mv served.new served
          grep -q busy served || echo $(($(cat worker) + 1)) >worker
        }}
        if [ -e late ]; then (sleep 0.3; read_it) </dev/null >/dev/null 2>&1 & else read_it; fi ;;
    esac ;;
  "top "*) printf 'PID COMMAND\\n1 nginx: master process\\n%s nginx: worker process\\n' "$(cat worker)" ;;
  "logs "*) echo "nothing at postgresql://app:{secret}@db" ;;
  "ps "*) case "$*" in *leftover*) cat leftovers ;; *) cat listing ;; esac ;;
  "rm --force") rm -f "containers/$4"; : >leftovers ;;
esac
"""


@dataclass
class Proxy:
    """The host's side of it: ``served`` is what nginx was told last, ``conf/nginx.conf`` what it will be told."""

    home: Path
    url: str

    @property
    def file(self) -> Path:
        return self.home / "conf" / "nginx.conf"

    @property
    def calls(self) -> list[str]:
        return (self.home / "calls").read_text().splitlines()

    @property
    def served(self) -> str:
        return (self.home / "served").read_text()

    def container(self, name: str, state: object) -> None:
        """Have the engine say so of a container; never half of it, since it may be asked in that moment."""
        written = self.home / f"{name}.written"
        written.write_text(state if isinstance(state, str) else json.dumps(state))
        written.replace(self.home / "containers" / name)

    def site(self, backends: Mapping[str, Backend], *words: str, check: bool = False, **more: object) -> dict[str, Any]:
        """Run the module entry_site for a site that leads to these backends, with other words in its file."""
        lines = [
            *words,
            *(f"server 127.0.0.1:{backend.port} max_fails=1; # {name}" for name, backend in backends.items()),
        ]
        options = {
            "container": "nginx", "directory": str(self.file.parent), "config": "/etc/slipway/nginx.conf",
            "site": "shop", "main": "old one", "content": "".join(f"\n{line}" for line in lines), "url": self.url,
            "domain": "shop.example.com", "path": "/ready", "header": "X-Release", "value": "two",
            "containers": dict.fromkeys(backends, "new"), "verify_timeout": 1, "drain_timeout": 1,
        }  # fmt: skip
        return run_module("entry_site", {**options, **more}, check=check)

    def switch(self, content: str, *, check: bool = False, **more: object) -> dict[str, Any]:
        """Run the module for a configuration, whose first words are the container and the release that are wanted."""
        upstream, release = content.split()[:2]
        options = {
            "container": "nginx", "path": str(self.file), "content": content, "url": self.url, "upstream": upstream,
            "header": "X-Release", "value": release, "verify_timeout": 1, "drain_timeout": 1,
        }  # fmt: skip
        return run_module("release_switch", {**options, **more}, check=check)


@dataclass
class Backend:
    """A backend on another host, whose release is ``said``, and the hosts that it was asked for."""

    port: int
    said: str = "two"
    asked: list[str | None] = field(default_factory=list)


@contextmanager
def backend() -> Iterator[Backend]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.headers["Host"])
            self.send_response(200 if self.path == "/ready" else 404)
            self.send_header("X-Slipway-Upstream", "new")
            self.send_header("X-Release", found.said)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    found = Backend(server.server_port)
    threading.Thread(target=server.serve_forever, args=(0.05,)).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def proxy(home: Path) -> Iterator[Proxy]:
    """An nginx that runs, and serves the release ``one`` from the container ``old``."""

    class Nginx(BaseHTTPRequestHandler):
        answered = 0

        def do_GET(self) -> None:
            upstream, release, *faults = (home / "served").read_text().split() or ["", ""]
            if "turns" in faults:
                upstream, release = [(upstream, release), ("old", "one")][Nginx.answered % 2]
                Nginx.answered += 1
            self.send_response(503 if "down" in faults else 200)
            self.send_header("X-Slipway-Upstream", upstream)
            self.send_header("X-Release", release)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    for name in ("bin", "conf", "containers"):
        (home / name).mkdir()
    for name, text in {
        "worker": "7",
        "listing": "",
        "leftovers": "",
        "served": "old one\n",
        "conf/nginx.conf": "",
    }.items():
        (home / name).write_text(text)
    (home / "conf" / "nginx.conf").write_text("old one\n")
    program = home / "bin" / "docker"
    program.write_text(ENGINE.format(home=home, secret=SECRET))
    program.chmod(0o755)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Nginx)
    threading.Thread(target=server.serve_forever, args=(0.05,)).start()
    found = Proxy(home, f"http://127.0.0.1:{server.server_port}/")
    found.container("nginx", "running")
    try:
        with pytest.MonkeyPatch.context() as host:
            host.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
            yield found
    finally:
        server.shutdown()
        server.server_close()
