# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx, as role frontend configures it, before an application that is not the reference application."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from support.certificates import made
from support.orphans import wait_until
from support.release import ROOT, docker, free_port, get, images

pytestmark = pytest.mark.container

HERE = Path(__file__).parent
ROLE = ROOT / "roles" / "frontend"
NAME = "slipway-test-proxy"
STATIC = "<h1>Static</h1>"


def configuration(name: str = "nginx.conf.j2", **variables: object) -> str:
    """What the role writes with these variables."""
    own: dict[str, Any] = {}
    for file in (ROLE / "defaults" / "main.yml", ROLE / "vars" / "main.yml"):
        own |= yaml.safe_load(file.read_text())
    given = {"frontend_upstream": f"{NAME}-app", "frontend_release": "r1", "frontend_release_header": "", **variables}
    own |= given | {"frontend_static": "page", "__frontend_static": {"tree": {"name": "page"}}}
    trusted = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in own.items()}
    template = "#jinja2: trim_blocks: True\n" + (ROLE / "templates" / name).read_text()
    templar = Templar(DataLoader(), trusted).copy_with_new_env(searchpath=[str(ROLE / "templates")])
    return str(templar.template(trust_as_template(template), escape_backslashes=False))


class Nginx:
    """A container of nginx with one configuration, published on the loopback interface."""

    def __init__(self, home: Path, kind: str, certificate: str = "", **variables: object) -> None:
        self.port, self.tls_port = free_port(), free_port()
        self.container = f"{NAME}-{kind}"
        directory = self.directory = home / kind
        (directory / "page").mkdir(parents=True)
        (directory / "page" / "index.html").write_text(STATIC)
        (directory / "page" / "app.3f2a1b9c.js").write_text("'a'\n" * 1000)
        (directory / "page" / "report-20251127.txt").write_text("a report")
        (directory / "page" / "assets").mkdir()
        (directory / "page" / "assets" / "index-BxJ3k9aQ.js").write_text("'a'")
        (directory / "nginx.conf").write_text(
            configuration(frontend_certificate=certificate, frontend_tls_port=self.tls_port, **variables)
        )
        (directory / "certificate.pem").write_text(certificate)
        challenge = directory / "challenges" / ".well-known" / "acme-challenge" / "token"
        challenge.parent.mkdir(parents=True)
        challenge.write_text("the answer")
        for path in (directory, *directory.rglob("*")):
            path.chmod(0o755)
        docker(
            "run", "--detach", "--name", self.container, "--network", NAME, "--publish", f"127.0.0.1:{self.port}:8080",
            "--publish", f"127.0.0.1:{self.tls_port}:8443",
            "--read-only", "--tmpfs", "/tmp:size=64m", "--memory", "128M", "--user", "nginx", "--cap-drop", "ALL",
            "--volume", f"{directory}:/etc/slipway:ro", "--volume", f"{directory}:/srv/static:ro",
            images()["SLIPWAY_NGINX_IMAGE"], "nginx", "-e", "stderr", "-c", "/etc/slipway/nginx.conf",
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.ask("/ready")[0] in (200, 308):
                    break
            except OSError:
                pass
            assert time.monotonic() < deadline, docker("logs", self.container)
            time.sleep(0.1)

    def ask(
        self, path: str, method: str = "GET", body: bytes = b"", tls: str = "", **headers: str
    ) -> tuple[int, Message, str]:
        """One request, with TLS by the name ``tls`` where there is one."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        if tls:
            connection.sock = self.shaken(tls)
            headers = {"Host": tls, **headers}
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read().decode()
        connection.close()
        return found

    def shaken(self, host: str, *protocols: str, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLSocket:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=SHOP.certificate)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, newest
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.set_alpn_protocols(protocols or ["http/1.1"])
        raw = socket.create_connection(("127.0.0.1", self.tls_port), timeout=30)
        return context.wrap_socket(raw, server_hostname=host)

    def seen(self, **headers: str) -> dict[str, str]:
        """The headers that reach the application, by their names in lower-case letters."""
        return {name.lower(): value for name, value in json.loads(self.ask("/echo", **headers)[2]).items()}


@pytest.fixture(scope="module", autouse=True)
def application() -> Iterator[None]:
    docker("network", "create", NAME)
    docker(
        "run", "--detach", "--init", "--name", f"{NAME}-app", "--network", NAME,
        "--volume", f"{HERE / 'foreign_app'}:/srv/app:ro", images()["SLIPWAY_PYTHON_IMAGE"],
        "python", "/srv/app/serve.py",
    )  # fmt: skip
    yield
    for kind in ("app", "plain", "behind", "tls", "entry"):
        docker("rm", "--force", "--volumes", f"{NAME}-{kind}")
    docker("network", "rm", NAME)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, application: None) -> Nginx:
    """As it is with nothing but defaults."""
    return Nginx(tmp_path_factory.mktemp("proxy"), "plain")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, application: None) -> Nginx:
    """Behind a trusted proxy, and with other limits."""
    gateway = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", NAME)
    return Nginx(
        tmp_path_factory.mktemp("proxy"),
        "behind",
        frontend_trusted_proxies=[gateway],
        frontend_max_body_size="200m",
        frontend_request_buffering=False,
        frontend_release_header="X-Version",
        frontend_security_headers={"X-Frame-Options": "", "X-Test": 'a "quoted" \\ value'},
        frontend_rate_limits=[{"path": "/sign.in", "rate": "1r/m", "burst": 2}],
    )


SHOP = made("shop.example.com", "www.example.com")


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, application: None) -> Nginx:
    """With a certificate for two domains."""
    return Nginx(
        tmp_path_factory.mktemp("proxy"),
        "tls",
        SHOP.key + SHOP.certificate,
        frontend_domains=["shop.example.com", "www.example.com"],
        frontend_immutable=["/assets/"],
    )


SAID = {
    "X_Forwarded_For": "203.0.113.9",
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "shop.example.com",
    "X_Forwarded_Port": "443",
    "Forwarded": "for=203.0.113.9",
}


def test_a_stranger_is_not_believed(plain: Nginx) -> None:
    found = plain.seen(**SAID)
    assert found["x-forwarded-for"] == found["x-real-ip"] != "203.0.113.9"
    assert found["x-forwarded-proto"] == "http"
    assert found["x-forwarded-host"] == found["host"] == f"127.0.0.1:{plain.port}"
    assert not {"x-forwarded-port", "forwarded"} & found.keys()


def test_a_trusted_proxy_is(behind: Nginx) -> None:
    found = behind.seen(**SAID)
    assert found["x-real-ip"] == "203.0.113.9"
    chain = found["x-forwarded-for"].split(", ")
    assert chain[0] == "203.0.113.9"
    assert len(chain) == 2
    assert found["x-forwarded-proto"] == "https"
    assert found["x-forwarded-host"] == "shop.example.com"
    assert (found["x-forwarded-port"], found["forwarded"]) == ("443", "for=203.0.113.9")
    assert behind.seen(**{**SAID, "X_Forwarded_For": "1.2.3.4, 203.0.113.9"})["x-real-ip"] == "203.0.113.9"
    direct = behind.seen()
    assert (direct["x-forwarded-proto"], direct["x-forwarded-host"]) == ("http", direct["host"])
    assert "," not in direct["x-forwarded-for"]
    assert not {"x-forwarded-port", "forwarded"} & direct.keys()


def test_what_the_application_says_of_its_answers_stands(plain: Nginx, behind: Nginx) -> None:
    _, headers, _ = plain.ask("/own-headers")
    assert headers.get_all("Content-Security-Policy") == ["default-src *"]
    assert headers.get_all("X-Frame-Options") == ["SAMEORIGIN"]
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    _, headers, _ = plain.ask("/echo")
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src" not in headers["Content-Security-Policy"]
    status, headers, page = plain.ask("/")
    assert (status, page) == (200, STATIC)
    assert headers.get_all("X-Frame-Options") == ["DENY"]
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert plain.ask("/failing")[0::2] == (503, "own words")

    for path in ("/echo", "/"):
        _, headers, _ = behind.ask(path)
        assert "X-Frame-Options" not in headers
        assert headers["X-Test"] == 'a "quoted" \\ value'
    assert headers["X-Version"] == "r1"


def test_only_a_probe_is_told_the_container(plain: Nginx) -> None:
    for path in ("/echo", "/"):
        assert "X-Slipway-Upstream" not in plain.ask(path)[1]
        assert plain.ask(path, X_Slipway_Probe="1")[1]["X-Slipway-Upstream"] == f"{NAME}-app"


def test_events_come_one_by_one(plain: Nginx) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", plain.port, timeout=30)
    connection.request("GET", "/events", headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    begun = time.monotonic()
    assert answer.readline() == b"data: 0\n"
    first = time.monotonic() - begun
    assert answer.read().endswith(b"data: 2\n\n")
    assert time.monotonic() - begun > first + 1
    connection.close()


def test_chunks(plain: Nginx) -> None:
    assert plain.ask("/chunks")[2] == "x" * 50_000


def test_a_websocket(plain: Nginx) -> None:
    with socket.create_connection(("127.0.0.1", plain.port), timeout=30) as opened:
        opened.sendall(
            b"GET /socket HTTP/1.1\r\nHost: shop\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        file = opened.makefile("rb")
        assert file.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while (line := file.readline()) != b"\r\n":
            if line.lower().startswith(b"sec-websocket-accept"):
                assert line.endswith(b" s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
        opened.sendall(bytes([0x81, 0x80 | 5, 0, 0, 0, 0]) + b"hello")
        assert file.read(7) == b"\x81\x05hello"


def test_uploads(plain: Nginx, behind: Nginx) -> None:
    large = os.urandom(1024) * 9 * 1024
    assert plain.ask("/upload", "POST", large)[0::2] == (200, str(len(large)))
    assert plain.ask("/upload", "POST", large + large)[0] == 413
    # Larger than the container's memory.
    assert behind.ask("/upload", "POST", large * 15)[0::2] == (200, str(15 * len(large)))


def test_a_client_may_send_only_so_many_of_a_kind(behind: Nginx) -> None:
    def statuses(path: str, method: str = "POST", **headers: str) -> list[int]:
        return [behind.ask(path, method, **headers)[0] for _ in range(5)]

    assert statuses("/sign.in", X_Forwarded_For="203.0.113.1") == [200, 200, 200, 429, 429]
    assert statuses("/sign.in", X_Forwarded_For="203.0.113.2") == [200, 200, 200, 429, 429]
    assert statuses("/sign.in", "GET", X_Forwarded_For="203.0.113.1") == [200] * 5
    assert statuses("/sign-in", X_Forwarded_For="203.0.113.1") == [200] * 5
    status, headers, body = behind.ask("/sign.in", "POST", X_Forwarded_For="203.0.113.1")
    assert (status, headers["Retry-After"], json.loads(body).keys()) == (429, "10", {"detail"})


def test_without_tls_all_is_redirected_but_a_challenge(secured: Nginx) -> None:
    for host, site in (("www.example.com", "www.example.com"), ("evil.example.com", "shop.example.com")):
        status, headers, _ = secured.ask("/a%20b?c=d", "POST", Host=host)
        assert (status, headers["Location"]) == (308, f"https://{site}:{secured.tls_port}/a%20b?c=d")
        assert "Strict-Transport-Security" not in headers
    assert secured.ask("/.well-known/acme-challenge/token")[0::2] == (200, "the answer")
    assert secured.ask("/.well-known/acme-challenge/other")[0] == 404


def test_a_challenge_is_answered_before_there_is_tls(plain: Nginx) -> None:
    assert plain.ask("/.well-known/acme-challenge/token")[0::2] == (200, "the answer")
    # The application may have its own.
    assert plain.ask("/.well-known/acme-challenge/other")[0] == plain.ask("/nothing")[0]


def test_with_tls(secured: Nginx, plain: Nginx) -> None:
    status, headers, body = secured.ask("/echo", tls="www.example.com")
    seen = {name.lower(): value for name, value in json.loads(body).items()}
    assert (status, headers["Strict-Transport-Security"]) == (200, "max-age=86400")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-host"]) == ("https", "www.example.com")
    assert secured.ask("/", tls="shop.example.com")[1]["Strict-Transport-Security"] == "max-age=86400"
    assert "Strict-Transport-Security" not in plain.ask("/")[1]


def test_what_is_spoken_with_tls(secured: Nginx) -> None:
    with secured.shaken("shop.example.com", "h2", "http/1.1") as connection:
        assert (connection.version(), connection.selected_alpn_protocol()) == ("TLSv1.3", "h2")
    with secured.shaken("shop.example.com", newest=ssl.TLSVersion.TLSv1_2) as connection:
        cipher = connection.cipher()
        assert (connection.version(), cipher and cipher[0]) == ("TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        secured.shaken("shop.example.com", newest=ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        secured.shaken("other.example.com")
    assert secured.ask("/", tls="shop.example.com", Host="other.example.com")[0] == 421


def test_while_the_database_is_made_another_release_s_a_page_says_so(plain: Nginx) -> None:
    plain.directory.joinpath("maintenance-r2").touch()  # another release's
    assert plain.ask("/")[0] == plain.ask("/echo")[0] == 200
    mark = plain.directory / "maintenance-r1"
    mark.touch()
    try:
        status, headers, page = plain.ask("/", Accept="text/html")
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "The application is not available at the moment." in page
        for path, method in (("/echo", "GET"), ("/echo", "POST"), ("/app.3f2a1b9c.js", "GET")):
            status, headers, said = plain.ask(path, method)
            assert (status, headers["Content-Type"]) == (503, "application/json"), path
            assert json.loads(said)["detail"] == "The application is not available at the moment."
        assert plain.ask("/.well-known/acme-challenge/token")[2] == "the answer"
    finally:
        mark.unlink()
    assert plain.ask("/echo")[0] == 200


def test_a_name_with_a_hash_is_kept_for_a_year(plain: Nginx, secured: Nginx) -> None:
    kept, asked = "public, max-age=31536000, immutable", "no-cache"
    hashed, dated, asset = "/app.3f2a1b9c.js", "/report-20251127.txt", "/assets/index-BxJ3k9aQ.js"
    for path, caching in ((hashed, kept), (dated, asked), (asset, asked), ("/", asked)):
        assert plain.ask(path)[1].get_all("Cache-Control") == [caching], path
    assert secured.ask(asset, tls="shop.example.com")[1]["Cache-Control"] == kept
    # A name that nothing answers to is the application's to tell of.
    assert "Cache-Control" not in plain.ask("/other.3f2a1b9c.js")[1]
    for path, encoding in (("/", None), (hashed, "gzip")):
        headers = plain.ask(path, "HEAD", Accept_Encoding="gzip")[1]
        assert headers["Content-Encoding"] == encoding


def test_two_applications_share_an_entry(tmp_path: Path, application: None) -> None:
    """Each is known by its domain; one leads to an application that answers, the other to nobody."""
    sites = tmp_path / "sites"
    sites.mkdir()
    (tmp_path / "nginx.conf").write_text(configuration("entry.conf.j2"))
    for site, address, port in (("shop-with-a-long-name-prod", f"{NAME}-app", 8000), ("other-prod", "127.0.0.1", 9)):
        told = {"frontend_site": site, "frontend_entry_domains": [f"{site}.example.com"]}
        backends = [{"name": "web1", "address": address, "port": port}]
        (sites / f"{site}.conf").write_text(configuration("site.conf.j2", **told, frontend_backends=backends))
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o755)
    port = free_port()
    docker(
        "run", "--detach", "--name", f"{NAME}-entry", "--network", NAME, "--publish", f"127.0.0.1:{port}:8080",
        "--read-only", "--tmpfs", "/tmp:size=64m", "--user", "nginx", "--cap-drop", "ALL",
        "--volume", f"{tmp_path}:/etc/slipway:ro", images()["SLIPWAY_NGINX_IMAGE"],
        "nginx", "-e", "stderr", "-c", "/etc/slipway/nginx.conf",
    )  # fmt: skip

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return get(port, "/")[0] == 421
        return False

    wait_until(answers, 60)
    status, _, seen = get(
        port, "/echo", Host="shop-with-a-long-name-prod.example.com", **{"X-Forwarded-For": "1.2.3.4"}
    )
    assert (status, json.loads(seen)["X-Forwarded-Proto"]) == (200, "http")
    assert "1.2.3.4" not in json.loads(seen)["X-Forwarded-For"]
    status, _, said = get(port, "/", Host="other-prod.example.com")
    assert (status, "not available" in said) == (503, True)
