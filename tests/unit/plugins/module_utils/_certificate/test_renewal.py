# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._certificate import renewal
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.acme import Order
from ansible_collections.slipway.deploy.plugins.module_utils._certificate.renewal import Site, times
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from support.certificates import Made, made
from support.release import free_port

SHOP = made("shop.example.com", begins=-1, ends=89)


def settings(home: Path, **more: object) -> dict[str, Any]:
    (home / "files").mkdir(exist_ok=True)
    return {
        "domains": ["shop.example.com"], "email": "ops@example.com", "server": "https://acme.example/dir",
        "authorities": "", "container": "web", "image": "nginx:1", "user": str(os.geteuid()), "config": "/x/nginx.conf",
        "path": f"{home}/config/certificate.pem", "files": f"{home}/files", "webroot": f"{home}/config/challenges",
        "address": "127.0.0.1", "port": free_port(), **more,
    }  # fmt: skip


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """An engine in which nginx runs: what it was asked to do."""
    calls: list[tuple[str, ...]] = []

    def run(*arguments: str) -> tuple[int, str]:
        calls.append(arguments)
        return 0, ""

    monkeypatch.setattr(renewal.docker, "found", lambda *_: "running")
    monkeypatch.setattr(renewal.docker, "run", run)
    monkeypatch.setattr(renewal.docker, "must", run)
    return calls


def gives(monkeypatch: pytest.MonkeyPatch, pair: Made) -> None:
    monkeypatch.setattr(Order, "place", lambda *_: pair.key + pair.certificate)


def test_when_a_certificate_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: list[tuple[str, ...]]
) -> None:
    site = Site.from_settings(settings(tmp_path))
    assert site.why(time.time()) == "there is none"
    gives(monkeypatch, SHOP)
    assert site.get() == ["Got a certificate for shop.example.com from https://acme.example/dir.", "Reloaded web."]
    assert site.file.read_text() == SHOP.key + SHOP.certificate
    assert engine == [
        ("exec", "web", "nginx", "-c", "/x/nginx.conf", "-t"),
        ("exec", "web", "nginx", "-c", "/x/nginx.conf", "-s", "reload"),
    ]
    assert site.why(time.time()) == ""
    assert site.why(time.time() + 70 * 86_400) == "the one that is there expires in 19 days"
    another = "the one that is there is not for these domains from this server"
    for more in ({"domains": ["shop.example.com", "b.example"]}, {"server": "https://staging.example/dir"}):
        assert Site.from_settings(settings(tmp_path, **more)).why(time.time()) == another
    other = made("shop.example.com")
    site.file.write_text(other.key + other.certificate)
    assert site.why(time.time()) == another


def test_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: list[tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings(tmp_path)))

    def refuse(*_arguments: object) -> str:
        raise SlipwayError("No certificate: too many today.")

    monkeypatch.setattr(Order, "place", refuse)
    assert renewal.main([str(file)]) == 1
    assert engine == []
    gives(monkeypatch, SHOP)
    assert renewal.main([str(file)]) == 0
    assert renewal.main([str(file)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "No certificate: too many today.",
        "Got a certificate for shop.example.com from https://acme.example/dir.",
        "Reloaded web.",
        "No certificate is due.",
    ]


def test_a_configuration_that_nginx_does_not_accept_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: list[tuple[str, ...]]
) -> None:
    monkeypatch.setattr(renewal.docker, "run", lambda *_: (1, "[emerg] no\nsuch file"))
    with pytest.raises(SlipwayError, match=r"goes on with the former one: \[emerg\] no such file$"):
        Site.from_settings(settings(tmp_path)).reload()
    assert engine == []


@contextmanager
def web(directory: Path) -> Iterator[int]:
    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(directory))

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_who_answers_a_challenge(tmp_path: Path) -> None:
    alone = Site.from_settings(settings(tmp_path))
    assert alone.answer() == alone.listen
    for directory in (alone.webroot, alone.webroot / ".well-known" / "acme-challenge"):
        assert directory.stat().st_mode & 0o777 == 0o755
    with web(alone.webroot) as port:
        assert Site.from_settings(settings(tmp_path, port=port)).answer() == str(alone.webroot)
    with web(tmp_path / "files") as port:
        told = rf"^What answers at http://127.0.0.1:{port} does not serve .*: where it is this application's nginx, "
        with pytest.raises(SlipwayError, match=told):
            Site.from_settings(settings(tmp_path, port=port)).answer()
    assert list(alone.webroot.rglob("*")) == [alone.webroot / ".well-known", alone.webroot / renewal.CHALLENGES]


@pytest.mark.parametrize(
    ("settings_of", "listen"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("0.0.0.0", "0.0.0.0:80")]
)
def test_where_challenges_are_asked_for(tmp_path: Path, settings_of: str, listen: str) -> None:
    assert Site.from_settings(settings(tmp_path, address=settings_of, port=80)).listen == listen


def test_twice_a_day_and_not_all_at_once() -> None:
    found = {times([f"{number}.example.com"]) for number in range(50)}
    assert times(["shop.example.com"]) == times(["shop.example.com"])
    assert len(found) > 40
    for when in found:
        hours, minute = when.removeprefix("*-*-* ").split(":")
        first, second = map(int, hours.split(","))
        assert 0 <= first < 12
        assert second == first + 12
        assert 0 <= int(minute) < 60
