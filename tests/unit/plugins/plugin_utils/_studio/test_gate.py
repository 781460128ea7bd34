# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes into the studio."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._studio.gate import GUESSES, HEADERS, Answer, Gate, guarded

HOST = "127.0.0.1:8000"
OWN = {"host": HOST}


@pytest.fixture
def gate() -> Gate:
    return Gate(HOST, 60)


def enter(gate: Gate, token: str, **headers: str) -> Answer:
    answer = gate.decide("/", f"token={token}", {**OWN, **headers})
    assert answer is not None
    return answer


def signed_in(gate: Gate) -> dict[str, str]:
    """The headers of a browser that has entered."""
    cookie = enter(gate, gate.token).headers["Set-Cookie"]
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict; Max-Age=60")
    return {**OWN, "cookie": "theme=dark; " + cookie.partition(";")[0]}


def test_the_token_is_exchanged_once_for_a_cookie(gate: Gate) -> None:
    assert gate.url == f"http://{HOST}/?token={gate.token}"
    headers = signed_in(gate)
    assert gate.decide("/users/list", "", headers) is None
    again = enter(gate, gate.token)
    assert (again.status, again.text.partition(":")[0]) == (403, "This address was opened already")
    assert gate.decide("/users/list", "", headers) is None


def test_without_it_nothing_is_shown(gate: Gate) -> None:
    for path in ("/", "/users/list", "/statics/css/main.css"):
        answer = gate.decide(path, "", OWN)
        assert answer is not None
        assert answer.status == 401
    assert gate.decide("/users/list", f"token={gate.token}", OWN) is not None


@pytest.mark.parametrize(
    "cookie", ["", "slipway_studio_8000=", "slipway_studio_8000=x", "slipway_studio_8000=é", "=;="]
)
def test_a_cookie_of_ones_own_is_none(gate: Gate, cookie: str) -> None:
    signed_in(gate)
    answer = gate.decide("/", "", {**OWN, "cookie": cookie})
    assert answer is not None
    assert answer.status == 401


def test_guesses_are_counted_and_then_the_token_is_void(gate: Gate) -> None:
    for number in range(GUESSES):
        assert enter(gate, f"guess-{number}").text.startswith("This is not the token")
    assert enter(gate, gate.token).text.startswith("Too many wrong tokens: end the studio in its terminal")


def test_guesses_do_not_throw_out_who_is_in(gate: Gate) -> None:
    headers = signed_in(gate)
    for _ in range(GUESSES + 1):
        enter(gate, "é")
    assert gate.decide("/", "", headers) is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example.com:8000"}, 421),
        ({"host": "localhost:8000"}, 421),
        ({"origin": "http://evil.example.com"}, 403),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_what_another_page_sends_is_refused_and_counts_for_no_guess(
    gate: Gate, headers: dict[str, str], status: int
) -> None:
    for _ in range(GUESSES + 1):
        assert enter(gate, "guess", **headers).status == status
    known = signed_in(gate)
    answer = gate.decide("/users/list", "", {**known, **headers})
    assert answer is not None
    assert answer.status == status


def test_a_form_of_its_own_passes(gate: Gate) -> None:
    known = {**signed_in(gate), "origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert gate.decide("/users/create", "", known) is None


async def page(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"public"), (b"x", b"1")]})
    await send({"type": "http.response.body", "body": b"a page"})


async def nothing() -> dict[str, Any]:
    raise AssertionError("the gate reads no body")


def ask(gate: Gate, headers: dict[str, str], kind: str = "http", path: str = "/") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "path": path, "query_string": b"", "headers": encoded}
    asyncio.run(guarded(page, gate)(scope, nothing, send))
    return sent


def test_each_answer_has_the_headers(gate: Gate) -> None:
    for headers in (OWN, signed_in(gate)):
        start, body = ask(gate, headers)
        found = dict(start["headers"])
        assert {name.lower().encode(): value.encode() for name, value in HEADERS.items()}.items() <= found.items()
    assert (found[b"x"], body["body"]) == (b"1", b"a page")


def test_a_web_socket_gets_nothing(gate: Gate) -> None:
    assert ask(gate, signed_in(gate), "websocket") == []


def test_what_is_in_every_studio_may_be_kept(gate: Gate) -> None:
    start, _body = ask(gate, signed_in(gate), path="/statics/css/main.css")
    assert dict(start["headers"])[b"cache-control"] == b"private, max-age=3600"
