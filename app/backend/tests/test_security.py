# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

from autotest.security import Busy, Hashing, Limiter, Vault
from conftest import PASSWORD, SECRET_KEY


def test_an_unknown_user_costs_a_verification_too(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(SECRET_KEY)
    verified = []
    hasher = SimpleNamespace(verify=lambda *_: verified.append(1))
    monkeypatch.setattr("autotest.security._hasher", hasher)
    assert not vault.verify_password(None, PASSWORD)
    assert not vault.verify_password("!", PASSWORD)
    assert len(verified) == 2


def test_only_so_many_hashes_wait() -> None:
    gate = threading.Event()

    async def crowd() -> list[object]:
        hashing = Hashing(waiting=2)
        running = [asyncio.create_task(hashing.run(gate.wait, 30)) for _ in range(3)]
        await asyncio.sleep(0)
        refused = await asyncio.gather(*(hashing.run(gate.wait, 30) for _ in range(60)), return_exceptions=True)
        gate.set()
        assert await asyncio.gather(*running) == [True] * 3
        assert await hashing.run(gate.wait, 30)
        return refused

    refused = asyncio.run(crowd())
    assert {type(error) for error in refused} == {Busy}


def test_a_limit_ends_with_its_window() -> None:
    now = [100.0]
    limiter = Limiter(2, 60, clock=lambda: now[0])
    assert [limiter.take("a") for _ in range(3)] == [0, 0, 60]
    assert limiter.take("b") == 0
    limiter.give_back("a")
    now[0] = 130.0
    assert [limiter.take("a") for _ in range(2)] == [0, 30]
    now[0] = 160.0
    assert limiter.take("a") == 0
