# SPDX-License-Identifier: GPL-3.0-or-later
"""Both ends of the way to a server on another host, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres import tunnel
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway_remote import KEY, PEER, make_key

pytestmark = pytest.mark.once


@dataclass
class Ends:
    """Directories of the two ends, a third party's, and a server behind the far one that gives back what it is sent."""

    home: Path

    def __post_init__(self) -> None:
        certificates = {name: make_key(self.home / name) for name in ("near", "far", "stranger")}
        for name, peer in (("near", "far"), ("far", "near"), ("stranger", "far")):
            (self.home / name / PEER).write_text(certificates[peer])
        (self.home / "socket").mkdir()

    def spec(self, name: str, **more: Any) -> dict[str, Any]:
        return {"key": str(self.home / name / KEY), "peer": str(self.home / name / PEER), **more}

    @property
    def far(self) -> dict[str, Any]:
        directories = [str(self.home / "socket"), str(self.home / "far")]
        return self.spec("far", listen=["127.0.0.1", 0], to=str(self.home / "socket" / "server"),
                         removes={"container": "", "directories": directories})  # fmt: skip

    def near(self, name: str, port: int) -> dict[str, Any]:
        return self.spec(name, listen=str(self.home / name / "socket"), to=["127.0.0.1", port])

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[asyncio.Task[None], int]]:
        """The far end with the server behind it, and its port."""

        async def give_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await tunnel.pump(reader, writer)

        async with await asyncio.start_unix_server(give_back, self.far["to"]):
            serving = asyncio.ensure_future(tunnel.main(self.far))
            await until(lambda: Path("port").exists())
            yield serving, int(Path("port").read_text())
            await asyncio.wait_for(serving, 20)


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.fixture
def ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ends:
    found = Ends(tmp_path)
    monkeypatch.chdir(tmp_path / "far")
    return found


def test_bytes_go_through_until_the_near_end_ends(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "BEAT", 0.1)
    monkeypatch.setattr(tunnel, "PATIENCE", 1.5)  # longer than it takes to begin, shorter than it is in use

    async def work() -> None:
        async with ends.open() as (_serving, port):
            near = tunnel.Near(ends.near("near", port))
            serving = asyncio.ensure_future(near.serve())
            await until((ends.home / "near" / "socket").exists)
            assert (ends.home / "near" / "socket").stat().st_mode & 0o077 == 0
            reader, writer = await asyncio.open_unix_connection(ends.home / "near" / "socket")
            for _ in range(8):  # it is held, though nothing is sent
                await asyncio.sleep(0.3)
            sent = os.urandom(3_000_000)
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            writer.close()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(serving, 20)
            assert not (ends.home / "far").exists()  # by then

    asyncio.run(work())


def test_nobody_is_let_in_without_the_key_nor_let_down_by_another(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "PATIENCE", 3)

    async def work() -> None:
        async with ends.open() as (_serving, port):
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await tunnel.Near(ends.near("stranger", port)).serve()
            reader, writer = await tunnel.Near(ends.near("stranger", port))._reach(tunnel.SESSION + b"all rows")
            with contextlib.suppress(ssl.SSLError, ConnectionError):  # TLS 1.3 tells it after the handshake
                assert await reader.read() == b""
            (ends.home / "near" / PEER).write_text((ends.home / "stranger" / "certificate.pem").read_text())
            with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed certificate"):
                await tunnel.Near(ends.near("near", port)).serve()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(tunnel.END * 100)
            assert await reader.read() != b"E"
            assert (ends.home / "far").exists()

    asyncio.run(work())


def test_what_nobody_holds_is_removed(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the other host has lost its power: the server is ended, and its directories are deleted."""
    monkeypatch.setattr(tunnel, "PATIENCE", 0.3)
    # A shell that starts the tests beside something else has them ignore the signal.
    with subprocess.Popen(["env", "--default-signal=QUIT", "sleep", "60"]) as server:
        (ends.home / "far" / "data").mkdir()
        (ends.home / "far" / "data" / "postmaster.pid").write_text(f"{server.pid}\n/somewhere\n")

        async def work() -> None:
            async with ends.open():
                pass

        asyncio.run(work())
        assert server.poll() == -signal.SIGQUIT
    assert [each.name for each in ends.home.iterdir() if each.name in ("far", "socket")] == []


def test_why_it_does_not_begin(ends: Ends, tmp_path: Path) -> None:
    words = [sys.executable, "-I", str(tunnel.__file__), json.dumps(ends.near("near", 1))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "Connect call failed ('127.0.0.1', 1)" in done.stderr
    assert not (tmp_path / "near" / "socket").exists()
