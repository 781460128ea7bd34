# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx, as role frontend configures it, before an application that is not the reference application."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from support.release import ROOT, docker, free_port, images

pytestmark = pytest.mark.container

HERE = Path(__file__).parent
ROLE = ROOT / "roles" / "frontend"
NAME = "slipway-test-proxy"
STATIC = "<h1>Static</h1>"


def configuration(**variables: object) -> str:
    """What the role writes with these variables."""
    own: dict[str, Any] = {}
    for file in (ROLE / "defaults" / "main.yml", ROLE / "vars" / "main.yml"):
        own |= yaml.safe_load(file.read_text())
    given = {"frontend_upstream": f"{NAME}-app", "frontend_release": "r1", "frontend_release_header": "", **variables}
    own |= given | {"frontend_static": "page", "__frontend_static": {"tree": {"name": "page"}}}
    trusted = {name: trust_as_template(value) if isinstance(value, str) else value for name, value in own.items()}
    template = "#jinja2: trim_blocks: True\n" + (ROLE / "templates" / "nginx.conf.j2").read_text()
    return str(Templar(DataLoader(), trusted).template(trust_as_template(template), escape_backslashes=False))


class Nginx:
    """A container of nginx with one configuration, published on the loopback interface."""

    def __init__(self, home: Path, kind: str, **variables: object) -> None:
        self.port = free_port()
        self.container = f"{NAME}-{kind}"
        directory = home / kind
        (directory / "page").mkdir(parents=True)
        (directory / "page" / "index.html").write_text(STATIC)
        (directory / "nginx.conf").write_text(configuration(**variables))
        for path in (directory, directory / "page", directory / "nginx.conf", directory / "page" / "index.html"):
            path.chmod(0o755)
        docker(
            "run", "--detach", "--name", self.container, "--network", NAME, "--publish", f"127.0.0.1:{self.port}:8080",
            "--read-only", "--tmpfs", "/tmp:size=64m", "--memory", "128M", "--user", "nginx", "--cap-drop", "ALL",
            "--volume", f"{directory}:/etc/slipway:ro", "--volume", f"{directory}:/srv/static:ro",
            images()["SLIPWAY_NGINX_IMAGE"], "nginx", "-e", "stderr", "-c", "/etc/slipway/nginx.conf",
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.ask("/ready")[0] == 200:
                    break
            except OSError:
                pass
            assert time.monotonic() < deadline, docker("logs", self.container)
            time.sleep(0.1)

    def ask(self, path: str, method: str = "GET", body: bytes = b"", **headers: str) -> tuple[int, Message, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read().decode()
        connection.close()
        return found

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
    for kind in ("app", "plain", "behind"):
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
