# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may use the studio: whoever has its one-time token, from that browser alone, and from no other page."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

GUESSES = 5
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# All that a page shows comes from here, and nobody else's page shows one of these. Select2 sets styles of elements.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# What is the same for every database: style sheets, scripts, fonts.
STATIC = ("/statics/", "/own/")
KEPT = {**HEADERS, "Cache-Control": "private, max-age=3600"}


@dataclass(frozen=True)
class Answer:
    """What the gate itself answers: a refusal, or the way in with its cookie."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def refuse(text: str, status: int = 403) -> Answer:
    return Answer(status, text + "\n", {"Content-Type": "text/plain; charset=utf-8"})


class Gate:
    """One studio's gate at ``authority``, such as 127.0.0.1:8000; its token counts once."""

    def __init__(self, authority: str, seconds: int) -> None:
        self.authority, self.seconds = authority, seconds
        self.token = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._used = False
        self._guesses = 0
        # A browser sends the cookies of one host to all of its ports.
        self.cookie_name = f"slipway_studio_{authority.rpartition(':')[2]}"

    @property
    def url(self) -> str:
        """What the operator opens."""
        return f"http://{self.authority}/?token={self.token}"

    def decide(self, path: str, query: str, headers: Mapping[str, str]) -> Answer | None:
        """The gate's own answer to a request, or None where it may pass. ``headers`` have lower-case names."""
        if headers.get("host") != self.authority:  # a name that was made to lead here
            return refuse(f"This studio is at http://{self.authority} alone.", 421)
        elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if elsewhere or headers.get("origin", self._origin) != self._origin:
            return refuse(f"Another page has sent this request: type {self._origin} where addresses are typed.")
        given = parse_qs(query).get("token") if path == "/" else None
        if given:
            return self._enter(given[0], headers)
        if not self._known(headers.get("cookie", "")):
            return refuse("Open the address that the terminal shows; it counts once, in one browser.", 401)
        return None

    @property
    def _origin(self) -> str:
        return f"http://{self.authority}"

    def _enter(self, token: str, headers: Mapping[str, str]) -> Answer:
        if self._guesses >= GUESSES:
            return refuse("Too many wrong tokens: end the studio in its terminal with Ctrl-C, and start it again.")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            self._guesses += 1
            return refuse("This is not the token: open the address that the terminal shows.")
        if self._used:
            return refuse(
                "This address was opened already: go on in the browser where it was, or end the studio in its terminal "
                "with Ctrl-C, and start it again."
            )
        self._used = True
        cookie = f"{self.cookie_name}={self._cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age={self.seconds}"
        return Answer(303, "", {"Location": "/", "Set-Cookie": cookie})

    def _known(self, cookies: str) -> bool:
        try:
            found = SimpleCookie(cookies).get(self.cookie_name)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self._cookie.encode())


def guarded(app: App, gate: Gate) -> App:
    """The application behind its gate, with the headers that each of its answers has."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":  # a web socket, of which there is none
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        answer = gate.decide(scope["path"], scope["query_string"].decode("latin-1"), headers)
        if answer is None:
            static = scope["path"].startswith(STATIC)
            await app(scope, receive, with_headers(send, KEPT if static else HEADERS))
            return
        told = with_headers(send, HEADERS)
        await told({"type": "http.response.start", "status": answer.status, "headers": encoded(answer.headers.items())})
        await told({"type": "http.response.body", "body": answer.text.encode()})

    return call


def with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """Send, with these headers in place of an answer's own ones."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower().encode() for name in headers}
            kept = [pair for pair in message.get("headers", []) if pair[0].lower() not in own]
            message = {**message, "headers": [*kept, *encoded(headers.items())]}
        await send(message)

    return told


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers]
