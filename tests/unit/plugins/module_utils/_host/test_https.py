# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host import files, https
from support.certificates import made

SHOP = made("shop.example.com")
URL = "https://shop.example.com"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/" else 200)
        self.send_header("X-Host", self.headers["Host"])
        self.send_header("Location", "/login")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def connect_to(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("tls") / "shop.pem"
    Path(file).write_text(SHOP.key + SHOP.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_site_is_asked_by_its_name_where_it_is(connect_to: str) -> None:
    status, headers = files.ask(f"{URL}/ready", connect_to=connect_to)
    assert (status, headers["X-Host"]) == (200, "shop.example.com")
    assert files.trouble(f"{URL}/ready", connect_to) == ""


def test_a_redirection_of_the_site_is_followed_to_the_same_place(connect_to: str) -> None:
    assert files.ask(f"{URL}/", connect_to=connect_to)[0] == 200


def test_the_certificate_that_it_shows(connect_to: str) -> None:
    other = made("shop.example.com")
    assert https.certificate(URL, connect_to) == https.leaf(SHOP.key + SHOP.certificate + other.certificate)
    assert https.certificate(URL, connect_to) != https.leaf(other.certificate)
    assert https.leaf("") == b""


def test_where_nobody_listens(connect_to: str) -> None:
    assert https.listens(connect_to)
    assert not https.listens("127.0.0.1:1")
    assert "gives no answer (" in files.trouble(URL, "127.0.0.1:1")
    with pytest.raises(OSError, match="refused"):
        https.certificate(URL, "[127.0.0.1]:1")
