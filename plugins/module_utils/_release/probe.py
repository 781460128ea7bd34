# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests by which a release is tried on a copy of its database, and what their answers say of a new schema."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._text import counted, listed

READS = ("GET", "HEAD", "OPTIONS")
# Stands in a path, header or body for a word that is another one each time the request is made.
UNIQUE = "{unique}"
NO_ANSWER = 0
TOO_MANY = 429  # says nothing of the request
_METHOD = re.compile(r"[A-Z]+")
# What makes two paths of one kind: numbers, UUIDs, and what is as long and mixed as a digest or token.
_ONE_OF_MANY = re.compile(r"(?<=/)(?:\d+|[0-9a-fA-F-]{32,}|(?=[^/]*\d)[^/]{24,})(?=/|$)")


@dataclass(frozen=True)
class Request:
    """One request. ``shown`` is what a person and the record see of it, without what may be secret."""

    method: str
    path: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, said: object) -> Request:
        """From ``/path``, ``POST /path {"a": 1}``, or a dict with such a ``request``, and ``headers`` and ``body``.

        Raises SlipwayError for what is none of them.
        """
        more: Mapping[str, Any] = said if isinstance(said, Mapping) else {"request": said}
        method, _, rest = str(more.get("request", "")).strip().partition(" ")
        if method.startswith("/"):
            method, rest = "GET", f"{method} {rest}"
        path, _, body = rest.strip().partition(" ")
        given = more.get("body", body.strip())
        text = given if isinstance(given, str) else json.dumps(given)
        headers = {str(name): str(value) for name, value in (more.get("headers") or {}).items()}
        if not _METHOD.fullmatch(method) or not path.startswith("/") or set(more) - {"request", "headers", "body"}:
            raise SlipwayError(
                f"{str(more.get('request', said))!r} is not a request: say it as /path, as GET /path, or as "
                'POST /path {"name": "value"}, with headers as {request: GET /path, headers: {NAME: VALUE}}.'
            )
        if text and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        return cls(method, path, text, headers)

    @property
    def reads(self) -> bool:
        return self.method in READS

    @property
    def shown(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"

    def made(self, word: str) -> Request:
        """The same with ``word`` in the place of what is to be unique."""
        headers = {name: value.replace(UNIQUE, word) for name, value in self.headers.items()}
        return Request(self.method, self.path.replace(UNIQUE, word), self.body.replace(UNIQUE, word), headers)


def from_log(lines: Iterable[str], known: Sequence[Request], most: int) -> list[Request]:
    """The GETs that an application answered well, one of each kind, the most frequent kinds first; not what is known.

    ``lines`` are of nginx's log, each an object with ``method``, ``path``, ``status`` and ``upstream``, which is empty
    for what nginx answered itself. Lines of another form are passed over.
    """
    seen, example = Counter[str](), dict[str, str]()
    for line in lines:
        try:
            found = json.loads(line)
            counts = found["method"] == "GET" and int(found["status"]) < 400 and found["upstream"] not in ("", "-")
            path = str(found["path"])
        except (ValueError, TypeError, KeyError):
            continue
        if counts and path.isprintable() and " " not in path:
            kind = _ONE_OF_MANY.sub("*", path)
            seen[kind] += 1
            example[kind] = path
    had = {_ONE_OF_MANY.sub("*", request.path.partition("?")[0]) for request in known if request.method == "GET"}
    kinds = sorted((kind for kind in seen if kind not in had), key=lambda kind: (-seen[kind], kind))
    return [Request("GET", example[kind]) for kind in kinds[: max(0, most - len(known))]]


@dataclass(frozen=True)
class Answer:
    """A status, NO_ANSWER for none, and what the database refused meanwhile, in its words; ``log``: the log's end."""

    status: int
    errors: Sequence[str] = ()
    log: str = ""

    @property
    def said(self) -> str:
        return str(self.status) if self.status else "nothing"


def rank(status: int) -> int:
    """0 where a request succeeded, 1 where it was refused, 2 where the application failed."""
    return 0 if 0 < status < 400 else 1 if 400 <= status < 500 else 2


def worse(before: int, after: int) -> bool:
    """Whether the same release answers worse than before, whatever that was."""
    return TOO_MANY not in (before, after) and rank(after) > rank(before)


def fails(before: int, after: int) -> bool:
    """Whether another release fails where the one before it did not. What it refuses may be meant so."""
    return worse(before, after) and rank(after) == 2


@dataclass(frozen=True)
class Probe:
    """A request and how it was answered: ``before`` by the release that serves on the schema as it was.

    ``steady`` is False where that differed by itself from one time to the next, so that nothing can be said.
    ``serving`` and ``new`` are the two releases on the new schema, None where one was not asked.
    """

    request: str
    before: Answer
    steady: bool = True
    serving: Answer | None = None
    new: Answer | None = None

    @property
    def broken_for_serving(self) -> bool:
        return bool(self.steady and self.serving and worse(self.before.status, self.serving.status))

    @property
    def broken_for_new(self) -> bool:
        return bool(self.steady and self.new and fails(self.before.status, self.new.status))

    def result(self) -> dict[str, Any]:
        """As the record keeps it."""
        found: dict[str, Any] = {"request": self.request, "before": self.before.status, "steady": self.steady}
        for name, answer in (("serving", self.serving), ("new", self.new)):
            if answer:
                found[name] = answer.status
                found[f"{name}_errors"] = list(answer.errors)
        return found


def _broken(pairs: Iterable[tuple[Probe, Answer | None]]) -> list[str]:
    """What broke, once for all requests that broke in the same way."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for probe, answer in pairs:
        if answer:
            because = f", where its log ends with {answer.log!r}" if answer.log else ""
            because = f", since the database said: {listed(list(answer.errors), 2)}" if answer.errors else because
            alike.setdefault((probe.before.said, answer.said, because), []).append(probe.request)
    return [
        f"{listed(requests, 3)} {'was' if len(requests) == 1 else 'were'} answered {before} before and {after} after "
        f"them{because}"
        for (before, after, because), requests in alike.items()
    ]


def verdict(probes: Sequence[Probe], serving: str, new: str, waiver: str) -> tuple[str, str]:
    """What stops the migrations, and what would but for a waiver: a sentence each, '' for nothing.

    The first is about the new release ``new``, which nothing waives; or about the release that serves, ``serving``.
    ``waiver`` is how to allow the second.
    """
    of_new = _broken((probe, probe.new) for probe in probes if probe.broken_for_new)
    of_serving = _broken((probe, probe.serving) for probe in probes if probe.broken_for_serving)
    untouched = "This was on a copy: the database itself was not touched."
    stop = waivable = ""
    if of_serving:
        waivable = (
            f"The release {serving}, which serves, breaks on the schema that the pending migrations make: "
            f"{listed(of_serving, 3)}. {untouched} Add first and remove one release later: deploy a release that works "
            f"with both schemas, then the migration that removes; or deploy it on purpose with {waiver}, which lets "
            "requests fail from the migration until the new release serves."
        )
    if of_new:
        stop = (
            f"The new release {new} fails on the schema that the pending migrations make: {listed(of_new, 3)}. "
            f"{untouched} Correct the release or the migration, and run again."
        )
    return stop, waivable


def summary(probes: Sequence[Probe], both: bool) -> str:
    """In a few words, for whoever watches."""
    broken = sum(probe.broken_for_serving or probe.broken_for_new for probe in probes)
    if broken:
        return f"{counted(broken, 'request')} of {len(probes)} {'breaks' if broken == 1 else 'break'}"
    well = sum(probe.steady and rank(probe.before.status) == 0 for probe in probes)
    releases = "both releases answer" if both else "the release that serves answers"
    return f"{releases} {counted(well, 'request')} as before"
