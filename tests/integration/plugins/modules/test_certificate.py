# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate of the controller, in a file, an encrypted one or as text, on a host; four runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from support.certificates import made
from support.modules import run_ansible

SHOP = made("shop.example.com")


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "shop.pem").write_text(SHOP.certificate)
    (tmp_path / "shop.key").write_text(SHOP.key)
    return {
        "certificate": str(tmp_path / "shop.pem"), "key": str(tmp_path / "shop.key"), "domains": ["shop.example.com"],
        "path": str(tmp_path / "config" / "certificate.pem"), "container": "none", "image": "none",
        "user": str(os.geteuid()),
    }  # fmt: skip


def test_four_runs(tmp_path: Path, arguments: dict[str, Any]) -> None:
    file = Path(arguments["path"])
    assert run_ansible("slipway.deploy.certificate", arguments, tmp_path, "--check")["changed"]
    assert not file.parent.exists()
    found = run_ansible("slipway.deploy.certificate", arguments, tmp_path)
    assert found["actions"] == [f"Wrote {file}."]
    assert found["certificate"]["names"] == ["shop.example.com"]
    assert found["certificate"]["days"] == 89
    assert "PRIVATE KEY" not in json.dumps(found)
    assert (file.read_text(), file.stat().st_mode & 0o777) == (SHOP.key + SHOP.certificate, 0o600)
    # As text, from a vault; it is the same.
    text = {**arguments, "certificate": SHOP.certificate, "key": SHOP.key}
    assert not run_ansible("slipway.deploy.certificate", text, tmp_path, "--check")["changed"]
    assert not run_ansible("slipway.deploy.certificate", text, tmp_path)["changed"]


def test_one_that_ends_soon_is_looked_at_without_a_host(tmp_path: Path, arguments: dict[str, Any]) -> None:
    soon = made("shop.example.com", ends=5)
    given = {**arguments, "certificate": soon.certificate, "key": soon.key, "path": ""}
    found = run_ansible("slipway.deploy.certificate", given, tmp_path)
    assert found["certificate"]["days"] == 4
    assert not Path(arguments["path"]).exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"certificate": "/nowhere/shop.pem"},
         "The file /nowhere/shop.pem of the certificate can't be read on the controller: "),
        ({"key": "not a key\nof any kind"},
         "The key is neither a file's path nor a text in PEM format: give one of them."),
        ({"domains": ["www.example.com"]}, "The certificate of shop.example.com does not name www.example.com: "),
    ],
)  # fmt: skip
def test_what_is_not_sent(tmp_path: Path, arguments: dict[str, Any], more: dict[str, Any], told: str) -> None:
    found = run_ansible("slipway.deploy.certificate", {**arguments, **more}, tmp_path)
    assert told in found["msg"]
    assert "not a key" not in found["msg"]
    assert not Path(arguments["path"]).exists()
