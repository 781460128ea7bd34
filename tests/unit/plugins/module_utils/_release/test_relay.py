# SPDX-License-Identifier: GPL-3.0-or-later
"""The relay of a service on the loopback interface, between a client and a release that behaves badly."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release import relay
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import answers
from support.release import free_port, get

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def relaying(state: Path, serving: int) -> Iterator[int]:
    """Run the relay before the port ``serving``; gives its own."""
    state.write_text(json.dumps({"app": {"port": serving}}))
    port = free_port()
    program = subprocess.Popen([sys.executable, relay.__file__, "127.0.0.1", str(port), str(state)])
    try:
        assert wait_until(lambda: answers("127.0.0.1", port), 20)
        yield port
    finally:
        program.terminate()
        program.wait(20)


@pytest.fixture
def release() -> Iterator[socket.socket]:
    """Listens where a release would; the test answers by hand."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        yield listener


def asked(port: int, release: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A client's connection whose request has reached the release, and the release's."""
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(REQUEST)
    inner = release.accept()[0]
    while inner.recv(1, socket.MSG_PEEK) == b"":  # the probe of `answers` ended at once
        inner.close()
        inner = release.accept()[0]
    inner.settimeout(20)
    return client, inner


@pytest.mark.parametrize("breaks_off", [True, False])
def test_a_client_is_told_at_once_that_the_release_has_gone(
    tmp_path: Path, release: socket.socket, breaks_off: bool
) -> None:
    with relaying(tmp_path / "state.json", release.getsockname()[1]) as port:
        client, inner = asked(port, release)
        if breaks_off:  # RST instead of FIN, as the kernel sends for a process that dies with bytes unread
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        inner.close()
        assert client.recv(100) == b""


def test_a_release_is_told_at_once_that_the_client_has_broken_off(tmp_path: Path, release: socket.socket) -> None:
    with relaying(tmp_path / "state.json", release.getsockname()[1]) as port:
        client, inner = asked(port, release)
        assert inner.recv(100) == REQUEST
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert inner.recv(100) == b""


def test_an_answer_reaches_a_client_that_has_said_all(tmp_path: Path, release: socket.socket) -> None:
    with relaying(tmp_path / "state.json", release.getsockname()[1]) as port:
        client, inner = asked(port, release)
        client.shutdown(socket.SHUT_WR)
        assert inner.recv(100) == REQUEST
        assert inner.recv(100) == b""
        inner.sendall(b"HTTP/1.1 200 OK\r\n\r\nlate")
        inner.close()
        assert client.recv(100).endswith(b"late")


def test_without_a_release_the_relay_answers_503(tmp_path: Path) -> None:
    with relaying(tmp_path / "state.json", free_port()) as port:
        assert get(port)[0] == 503
        (tmp_path / "state.json").write_text(json.dumps({"app": None}))
        assert get(port)[0] == 503
