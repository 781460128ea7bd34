# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host import files


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/ok" else 503)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(("path", "trouble"), [("/ok", ""), ("/no", "{url}/no answers 503")])
def test_trouble(url: str, path: str, trouble: str) -> None:
    assert files.trouble(url + path) == trouble.format(url=url)


def test_no_answer_is_trouble_past_any_proxy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", url)
    assert files.trouble("http://127.0.0.1:1/").startswith("http://127.0.0.1:1/ gives no answer (")


def test_wait_until_gives_up_at_the_deadline() -> None:
    answers = iter([False, True])
    assert files.wait_until(lambda: next(answers), 5)
    assert not files.wait_until(lambda: False, 0)


def test_replace_file_sets_the_mode_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    files.replace_file(str(path), "new", 0o640)
    assert files.read(str(path)) == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_read_of_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert files.read(str(tmp_path / "none")) == ""
