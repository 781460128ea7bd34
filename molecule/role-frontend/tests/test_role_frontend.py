# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx in front of a release, made by role frontend alone: seen by HTTP and by the engine."""

from __future__ import annotations

import json

import pytest
from support.release import get
from support.role import NAME, STATE, containers, docker, files, refused

PORT = 18092


def test_page_and_release_answer() -> None:
    assert get(PORT) == (200, "one", '{"status": "ok", "release": "one"}')
    status, release, page = get(PORT, "/")
    assert (status, release) == (200, "one")
    assert "<h1>The page</h1>" in page


def test_it_is_published_on_loopback_alone_and_confined() -> None:
    assert docker("port", NAME) == f"8080/tcp -> 127.0.0.1:{PORT}"
    about = json.loads(docker("inspect", NAME))[0]
    assert (about["HostConfig"]["ReadonlyRootfs"], about["HostConfig"]["CapDrop"]) == (True, ["ALL"])
    assert about["Config"]["User"] not in ("", "0", "root")


def seen() -> tuple[object, ...]:
    """What a run that is refused leaves as it was; beside it nginx's configuration of before may be kept."""
    kept = [name for name in files() if not name.startswith("frontend/former/")]
    return containers(), kept, (STATE / "frontend/config/nginx.conf").read_text()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"frontend_static": "/no/such"}, "/no/such"),
        ({"frontend_max_body_size": "much"}, '"client_max_body_size" directive invalid value'),
        ({"frontend_upstream": "no-such-container"}, "Through nginx the new release does not answer"),
        ({"frontend_release": "two"}, "two"),
    ],
)
def test_bad_input_is_refused_and_what_served_serves(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before
    assert get(PORT)[:2] == (200, "one")
