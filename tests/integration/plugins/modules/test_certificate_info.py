# SPDX-License-Identifier: GPL-3.0-or-later
"""Until when a certificate on a host is valid, in a file that has its key as well."""

from __future__ import annotations

import time
from pathlib import Path

from support.certificates import made
from support.modules import run_module


def test_until_when_it_is_valid(tmp_path: Path) -> None:
    shop = made("shop.example.com", ends=20)
    (tmp_path / "shop.pem").write_text(shop.key + shop.certificate)
    found = run_module("certificate_info", {"path": str(tmp_path / "shop.pem")})
    assert not found["changed"]
    assert found["begins"] < time.time()
    assert 19 < (found["ends"] - time.time()) / 86400 <= 20


def test_a_file_without_one(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "none.pem"):
        found = run_module("certificate_info", {"path": str(tmp_path / name)})
        assert "ends" not in found
        assert found["problem"] == f"There is no certificate in {tmp_path / name}: deploy first."
