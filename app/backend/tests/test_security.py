# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace

import pytest

from autotest.security import Vault
from conftest import PASSWORD, SECRET_KEY


def test_an_unknown_user_costs_a_verification_too(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(SECRET_KEY)
    verified = []
    hasher = SimpleNamespace(verify=lambda *_: verified.append(1))
    monkeypatch.setattr("autotest.security._hasher", hasher)
    assert not vault.verify_password(None, PASSWORD)
    assert not vault.verify_password("!", PASSWORD)
    assert len(verified) == 2
