# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's certificate is made, and renewed while its clients go on; test_postgres.py has a server that takes it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.server_certificate import Keeper

YEAR = 365 * 24 * 3600


def verifies(home: Path, authority: str) -> bool:
    (home / "known").write_text(authority)
    words = ["openssl", "verify", "-CAfile", str(home / "known"), str(home / "server.pem")]
    done = subprocess.run(words, capture_output=True, check=False)
    (home / "known").unlink()
    return done.returncode == 0


def test_clients_know_an_authority_before_it_signs(tmp_path: Path) -> None:
    keeper, now = Keeper(tmp_path / "tls", "10.0.0.5"), time.time()
    keeper.renew(keeper.due(now))
    first = keeper.certificate()
    assert list(keeper.due(now + 1.9 * YEAR)) == []
    assert list(keeper.due(now + 2.1 * YEAR)) == ["server"]
    assert list(keeper.due(now + 14 * YEAR)) == ["authority", "server"]

    keeper.renew(["authority"])
    second = keeper.certificate()
    assert second.server == first.server
    assert second.authority.startswith(first.authority)
    assert second.authority.count("BEGIN") == 2
    assert list(keeper.due(now + 14 * YEAR)) == ["server"]
    keeper.renew(["server"])
    third = keeper.certificate()
    assert (verifies(keeper.directory, second.authority), verifies(keeper.directory, first.authority)) == (True, False)
    assert second.authority.endswith(third.authority)


def test_what_is_cut_short_is_due_again(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, "10.0.0.5")
    keeper.renew(keeper.due(time.time()))
    (tmp_path / "server.pem").unlink()
    assert list(keeper.due(time.time())) == ["server"]
    (tmp_path / "authority.pem").write_text("")
    assert list(keeper.due(time.time())) == ["authority", "server"]
