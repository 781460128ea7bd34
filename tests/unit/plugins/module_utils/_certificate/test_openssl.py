# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's openssl makes what it is asked for, and what is wrong with it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._certificate import openssl
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

REQUEST = ("req", "-x509", *openssl.KEY, "-subj", "/CN=x", "-keyout", "key", "-out", "pem")


def test_it_makes_files_in_the_directory(tmp_path: Path) -> None:
    openssl.make(tmp_path, *REQUEST, purpose="makes a key")
    assert (tmp_path / "key").read_text().startswith("-----BEGIN PRIVATE KEY-----")
    pem = (tmp_path / "pem").read_text()
    assert openssl.call("x509", "-noout", "-subject", purpose="reads", given=pem).split() == ["subject=CN", "=", "x"]


def test_what_it_does_not_like(tmp_path: Path) -> None:
    assert openssl.call("x509", "-noout", "-subject", purpose="reads", given="none") == ""
    with pytest.raises(SlipwayError, match=rf"^openssl can't make a key in {tmp_path}: .*; correct that\.$"):
        openssl.make(tmp_path, "req", "-nonsense", purpose="makes a key")


def test_a_host_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openssl, "PATH", str(tmp_path))
    with pytest.raises(SlipwayError) as told:
        openssl.make(tmp_path, *REQUEST, purpose="makes the server's certificate")
    assert str(told.value) == (
        "There is no openssl on the host, which makes the server's certificate: install the package openssl."
    )
