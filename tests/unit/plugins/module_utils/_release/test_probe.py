# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release is asked, and what its answers say of a new schema."""

from __future__ import annotations

import json

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release.probe import (
    Answer,
    Probe,
    Request,
    from_log,
    summary,
    verdict,
)

JSON = {"Content-Type": "application/json"}
DENIED = "permission denied for table orders (42501)"


@pytest.mark.parametrize(
    ("said", "request_"),
    [
        ("/orders", Request("GET", "/orders")),
        ("/orders?page=2", Request("GET", "/orders?page=2")),
        ("HEAD /orders", Request("HEAD", "/orders")),
        ('POST /orders {"a": 1}', Request("POST", "/orders", '{"a": 1}', JSON)),
        ({"request": "PUT /orders/1", "body": {"a": 1}}, Request("PUT", "/orders/1", '{"a": 1}', JSON)),
        (
            {"request": "POST /in", "body": "a=1", "headers": {"content-type": "text/plain"}},
            Request("POST", "/in", "a=1", {"content-type": "text/plain"}),
        ),
        ({"request": "/me", "headers": {"Authorization": "x"}}, Request("GET", "/me", "", {"Authorization": "x"})),
    ],
)
def test_a_request(said: object, request_: Request) -> None:
    assert Request.parse(said) == request_


@pytest.mark.parametrize(
    "said", ["", "orders", "get /orders", "GET", {"path": "/orders"}, {"request": "/a", "x": 1}, 7]
)
def test_what_is_no_request(said: object) -> None:
    with pytest.raises(SlipwayError, match="is not a request: say it as /path"):
        Request.parse(said)


def test_what_is_unique_is_another_word_each_time() -> None:
    request = Request.parse({"request": "POST /a/{unique}", "body": '{"b": "{unique}"}', "headers": {"X": "{unique}"}})
    assert request.made("t1") == Request("POST", "/a/t1", '{"b": "t1"}', {"X": "t1", **JSON})


def test_nobody_sees_what_may_be_secret() -> None:
    assert Request.parse({"request": "POST /in?token=s3", "body": "s3", "headers": {"X": "s3"}}).shown == "POST /in"


def line(path: str, status: int = 200, method: str = "GET", upstream: str = "172.18.0.3:8000") -> str:
    return json.dumps({"method": method, "path": path, "status": status, "upstream": upstream})


def test_what_the_log_says_is_asked() -> None:
    log = [
        *[line("/orders")] * 3,
        *(line(f"/orders/{number}") for number in range(5)),
        line("/orders/3f1d0c9a-4b7e-4f0c-8a51-0d6f3f1d0c9a"),
        line("/orders/1/lines"),
        line("/me", 401),
        line("/orders", method="POST"),
        line("/style.css", upstream=""),
        line("/known/7"),
        "nginx: started",
        '{"method": "GET"}',
        "[]",
    ]  # fmt: skip
    found = from_log(log, [Request("GET", "/ready"), Request("GET", "/known/1?x=y")], 20)
    assert [request.path for request in found] == [
        "/orders/3f1d0c9a-4b7e-4f0c-8a51-0d6f3f1d0c9a", "/orders", "/orders/1/lines",
    ]  # fmt: skip
    assert len(from_log(log, [Request("GET", "/ready")], 2)) == 1
    assert from_log(log, [Request("GET", "/a")] * 3, 2) == []


@pytest.mark.parametrize(
    ("before", "serving", "breaks", "new", "fails"),
    [
        (200, 200, False, 200, False),
        (200, 204, False, 302, False),
        (200, 500, True, 500, True),
        (200, 0, True, 0, True),
        (200, 409, True, 409, False),  # the new one may mean it
        (200, 404, True, 404, False),
        (404, 404, False, 404, False),
        (404, 200, False, 200, False),
        (404, 500, True, 500, True),
        (500, 500, False, 500, False),
        (500, 0, False, 0, False),
        (200, 429, False, 429, False),
        (429, 500, False, 500, False),
    ],
)
def test_what_breaks(before: int, serving: int, breaks: bool, new: int, fails: bool) -> None:
    probe = Probe("GET /", Answer(before), serving=Answer(serving), new=Answer(new))
    assert (probe.broken_for_serving, probe.broken_for_new) == (breaks, fails)
    unsteady = Probe("GET /", Answer(before), steady=False, serving=Answer(serving), new=Answer(new))
    assert (unsteady.broken_for_serving, unsteady.broken_for_new) == (False, False)


def test_who_was_not_asked_breaks_nothing() -> None:
    probe = Probe("GET /", Answer(200))
    assert (probe.broken_for_serving, probe.broken_for_new) == (False, False)
    assert probe.result() == {"request": "GET /", "before": 200, "steady": True}


GOOD = Probe("GET /a", Answer(200), serving=Answer(200), new=Answer(200))
TWO = [
    GOOD,
    Probe("GET /b", Answer(200), serving=Answer(500, [DENIED]), new=Answer(200)),
    Probe("POST /c", Answer(200), serving=Answer(500, [DENIED]), new=Answer(0, log="Error: no column d")),
]
UNTOUCHED = "This was on a copy: the database itself was not touched."


def test_the_verdict() -> None:
    assert verdict([GOOD], "one", "two", "waived: true") == ("", "")
    stop, waivable = verdict(TWO, "one", "two", "waived: true")
    assert stop == (
        "The new release two fails on the schema that the pending migrations make: POST /c was answered 200 before and "
        f"nothing after them, where its log ends with 'Error: no column d'. {UNTOUCHED} Correct the release or the "
        "migration, and run again."
    )
    assert waivable == (
        "The release one, which serves, breaks on the schema that the pending migrations make: GET /b; POST /c were "
        f"answered 200 before and 500 after them, since the database said: {DENIED}. {UNTOUCHED} Add first and remove "
        "one release later: deploy a release that works with both schemas, then the migration that removes; or deploy "
        "it on purpose with waived: true, which lets requests fail from the migration until the new release serves."
    )


@pytest.mark.parametrize(
    ("probes", "both", "said"),
    [
        ([GOOD], True, "both releases answer 1 request as before"),
        ([GOOD, GOOD], False, "the release that serves answers 2 requests as before"),
        ([GOOD, Probe("GET /x", Answer(500), serving=Answer(500))], False,
         "the release that serves answers 1 request as before"),
        (TWO, True, "2 requests of 3 break"),
        (TWO[:2], True, "1 request of 2 breaks"),
    ],
)  # fmt: skip
def test_the_summary(probes: list[Probe], both: bool, said: str) -> None:
    assert summary(probes, both) == said
