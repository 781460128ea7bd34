# SPDX-License-Identifier: GPL-3.0-or-later
"""A release in a container, made by role backend alone: seen by the engine and by HTTP on its network."""

from __future__ import annotations

import json
import urllib.request

import pytest
from support.role import NAME, containers, docker, refused


def answer() -> str:
    """What the release that runs says of itself."""
    [name] = containers()
    address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
    with urllib.request.urlopen(f"http://{address}:8000/healthz", timeout=5) as found:
        release: str = json.loads(found.read())["release"]
        return release


def test_the_release_answers() -> None:
    assert answer() == "one"


def test_its_container_is_confined_and_publishes_nothing() -> None:
    [name] = containers()
    about = json.loads(docker("inspect", name))[0]
    assert about["State"]["Health"]["Status"] == "healthy"
    assert about["Config"]["Labels"]["slipway.backend"] == NAME
    assert (about["HostConfig"]["ReadonlyRootfs"], about["HostConfig"]["CapDrop"]) == (True, ["ALL"])
    assert not about["HostConfig"]["PortBindings"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"backend_runtime": "cloud"}, "value of backend_runtime must be one of: container, process, got: cloud"),
        ({"backend_build_context": "/no/such"}, "/no/such"),
        ({"backend_network": "no-such-network", "backend_release": "two"}, "no-such-network"),
        ({"backend_healthcheck": [], "backend_release": "two"}, "health check"),
        ({"backend_env": {"RELEASE": "two", "CRASH": "1"}, "backend_release": "two"}, "no such setting: CRASH"),
    ],
)
def test_bad_input_is_refused_and_what_served_serves(variables: dict[str, object], said: str) -> None:
    before, images = containers(), docker("image", "ls", "--quiet", f"--filter=label=slipway.image={NAME}")
    assert said in refused(**variables)
    assert (containers(), docker("image", "ls", "--quiet", f"--filter=label=slipway.image={NAME}")) == (before, images)
    assert answer() == "one"
