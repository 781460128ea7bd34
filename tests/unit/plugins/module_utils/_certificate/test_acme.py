# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.acme import Order, reason
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

SERVER = "https://acme.example/dir"
# As lego 4.9 writes them.
UNKNOWN = """\
2026/11/27 04:05:06 [INFO] [shop.example.com] acme: Trying to solve HTTP-01
2026/11/27 [INFO] retry due to: acme: error: 400 :: POST :: https://a :: urn:ietf:params:acme:error:badNonce :: x
2026/11/27 04:05:06 Could not obtain certificates:
\terror: one or more domains had a problem:
[shop.example.com] acme: error: 400 :: urn:ietf:params:acme:error:dns :: DNS problem: NXDOMAIN for it, url: https://a/b
[www.shop.example.com] acme: error: 403 :: urn:ietf:params:acme:error:unauthorized :: Invalid response: 404.
"""
REJECTED = """\
2026/11/27 04:05:06 Could not complete registration
\tacme: error: 429 :: POST :: https://acme.example/new :: urn:ietf:params:acme:error:rateLimited :: too many today
"""
DOWN = "2026/11/27 04:05:07 Could not create client: get directory at 'https://acme.example/dir': connection refused\n"


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (UNKNOWN, "DNS problem: NXDOMAIN for it (dns); Invalid response: 404 (unauthorized)"),
        (REJECTED, "too many today (rateLimited)"),
        (DOWN, "Could not create client: get directory at 'https://acme.example/dir': connection refused"),
        ("", "lego said nothing"),
    ],
)
def test_why_there_is_no_certificate(output: str, told: str) -> None:
    assert reason(output) == told


def order(home: Path) -> Order:
    return Order(("a.example", "b.example"), "ops@example.com", SERVER, home / "lego", str(home / "ca.pem"))


def test_who_answers_the_challenge(tmp_path: Path) -> None:
    common = ["lego", "--accept-tos", "--server", SERVER, "--email", "ops@example.com", "--path", f"{tmp_path}/lego"]
    domains = ["--domains", "a.example", "--domains", "b.example", "run"]
    made = order(tmp_path)
    assert made.command("/srv/web") == [*common, "--http", "--http.webroot", "/srv/web", *domains]
    assert made.command("0.0.0.0:80") == [*common, "--http", "--http.port", "0.0.0.0:80", *domains]


def program(home: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (home / "lego-program").mkdir()
    file = home / "lego-program" / "lego"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:{os.environ['PATH']}")


def test_what_lego_got(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = order(tmp_path)
    program(
        tmp_path, monkeypatch,
        f'mkdir {tmp_path}/lego/certificates; cd {tmp_path}/lego; echo "$LEGO_CA_CERTIFICATES" >account\n'
        "echo key >certificates/a.example.key; echo certificate >certificates/a.example.crt",
    )  # fmt: skip
    assert made.place("/srv/web") == "key\ncertificate\n"
    assert (tmp_path / "lego" / "account").read_text() == f"{tmp_path}/ca.pem\n"
    assert {file.stat().st_mode & 0o777 for file in made.store.rglob("*") if file.is_file()} == {0o600}
    assert made.store.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo nobody there; exit 1",
         f"No certificate for a.example, b.example from {SERVER}: nobody there. See that each domain's address in "
         "DNS is this host, and that port 80 there is reached from outside; what served before goes on."),
        (None, "There is no lego on the host, which gets certificates by ACME: install the package."),
    ],
)  # fmt: skip
def test_what_lego_did_not_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, told: str) -> None:
    if script:
        program(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(SlipwayError) as caught:
        order(tmp_path).place("/srv/web")
    assert str(caught.value) == told
