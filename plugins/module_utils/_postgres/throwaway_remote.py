# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away server on another host than the one whose like it is: made there, and reached from here.

There it is as any other, with its socket alone, and a tunnel leads to that socket from one that is here, where the
socket of a server on this host would be. So nobody who uses it needs to know where it is, and the same rule lets people
in: who may enter the directory. Each end makes a key of its own, which never leaves its host.
"""

from __future__ import annotations

import base64
import contextlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._certificate import openssl
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import throwaway, tunnel
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.client_programs import Client
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway import (
    Shape,
    Throwaway,
    Traits,
    socket_dir,
)

SOCKET = ".s.PGSQL.5432"
COPY = "copy"  # a directory beside the socket of a server in a container
KEY, PEER, PORT, LOG = "key.pem", "peer.pem", "port", "tunnel.log"
REMOTE_SPEC: dict[str, Any] = {
    "type": "dict",
    "options": {
        "name": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "certificate": {"type": "str", "required": True},
    },
}


@dataclass(frozen=True)
class Description:
    """What the other host is told: what to make, how many bytes of room it takes, and who is to be let in.

    ``shape`` is of the ``container`` that the server is in; '' where it is in none.
    """

    traits: Traits
    major: int
    size: int
    certificate: str
    container: str = ""
    shape: Shape | None = None

    def text(self) -> str:
        """As it goes from host to host: in a form in which nobody takes a word of it for a password and masks it."""
        return base64.b64encode(json.dumps(asdict(self)).encode()).decode()

    @classmethod
    def parse(cls, text: str) -> Description:
        found = json.loads(base64.b64decode(text))
        traits, shape = found["traits"], found["shape"]
        traits["creation"] = tuple((name, value) for name, value in traits["creation"])
        traits["statements"] = tuple(traits["statements"])
        return cls(**{**found, "traits": Traits(**traits), "shape": Shape(**shape) if shape else None})


def make_key(home: Path) -> str:
    """Make this end's key, and return its certificate (PEM). SlipwayError where the host has no openssl."""
    with throwaway.file_errors(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        openssl.make(
            home, "req", "-x509", *openssl.KEY, "-subj", "/CN=slipway", "-keyout", KEY, "-out", "certificate.pem",
            purpose="makes the keys for the way to the copy",
        )  # fmt: skip
        certificate = (home / "certificate.pem").read_text()
        with (home / KEY).open("a") as file:
            file.write(certificate)
    return certificate


@dataclass(frozen=True)
class Far:
    """The other host's side: a server in a directory there, and the tunnel's end that leads to it."""

    throwaway: Throwaway

    def start(self, traits: Traits, peer: str, address: str, port: int) -> tuple[int, str]:
        """Make and start it for the end whose certificate is ``peer``; the port to reach it at, and this end's own."""
        self.throwaway.start(traits)
        home, shared = self.throwaway.home, socket_dir(self.throwaway.directory)
        try:
            certificate = make_key(home)
            ends = _begin(home, peer, {
                "listen": [address, port], "to": str(shared / SOCKET),
                "removes": {"container": self.throwaway.container, "directories": [str(shared.parent), str(home)]},
            })  # fmt: skip
            found = home / PORT
            wait_until(lambda: found.exists() or ends.poll() is not None, tunnel.WITHIN)
            if not found.exists():
                raise SlipwayError(
                    f"Nothing can listen on {address}:{port} for the copy: {_said(home)}; choose another port."
                )
        except BaseException:
            with contextlib.suppress(SlipwayError):  # the error that led here is the one to tell
                throwaway.remove(self.throwaway.directory)
            raise
        return int(found.read_text()), certificate


@dataclass(frozen=True)
class Remote(Throwaway):
    """The database host's side: ``host`` and ``port`` are of the tunnel's far end, ``name`` what the operator calls it.

    Its own key was made before, since the far end had to know it.
    """

    name: str = ""
    host: str = ""
    port: int = 0
    certificate: str = ""

    @classmethod
    def of(cls, local: Throwaway, option: Mapping[str, Any]) -> Remote:
        """See ``REMOTE_SPEC``."""
        return cls(local.directory, local.like, None, **option)

    @property
    def container(self) -> str:
        return ""

    @property
    def socket_dir(self) -> Path:
        """Where the programs of a container find it, too: it sees the directory of its server's socket."""
        return Path(self.like.server.socket_dir) / COPY if self.like.container else super().socket_dir

    @property
    def client(self) -> Client:
        seen = f"{self.like.container_socket_dir}/{COPY}" if self.like.container else self.like.container_socket_dir
        return replace(self.like, server=self.server, container_socket_dir=seen)

    def check(self) -> None:
        """The other host has been asked for the programs."""

    def reach(self) -> None:
        """Open the tunnel. SlipwayError where the other end does not answer, or is not the one that was told."""
        shared = self.socket_dir
        with throwaway.file_errors(self.directory):
            if self.like.container:
                (self.home / throwaway.SHARED).write_text(str(shared))
                shutil.rmtree(shared, ignore_errors=True)  # there is one only where a run was killed
            else:
                shared.parent.mkdir(mode=0o700, exist_ok=True)
            shared.mkdir(mode=0o700, exist_ok=True)
            ends = _begin(self.home, self.certificate, {
                "listen": str(shared / SOCKET), "to": [self.host, self.port]
            })  # fmt: skip
        wait_until(lambda: (shared / SOCKET).exists() or ends.poll() is not None, 2 * tunnel.WITHIN)
        if not (shared / SOCKET).exists():
            raise SlipwayError(
                f"The server for the copy on {self.name} can't be reached from this host at {self.host}:{self.port}: "
                f"{_said(self.home)}; let this host through to there, or name another address or port of it."
            )


def _begin(home: Path, peer: str, told: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start an end of the tunnel, which works in ``home`` and is known by that."""
    (home / PEER).write_text(peer)
    program = home / throwaway.TUNNEL
    program.write_text(inspect.getsource(tunnel))  # also out of the zip file from which Ansible runs modules
    spec = {"key": str(home / KEY), "peer": str(home / PEER), **told}
    with (home / LOG).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", str(program), json.dumps(spec)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            cwd=home, start_new_session=True,
        )  # fmt: skip


def _said(home: Path) -> str:
    lines = [line for line in read(os.fspath(home / LOG)).splitlines() if line.strip()]
    return lines[-1] if lines else f"no answer within {tunnel.WITHIN:g} s"
