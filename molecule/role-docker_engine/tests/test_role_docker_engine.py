# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine and a network that role docker_engine alone has brought to a bare host: seen over SSH."""

from __future__ import annotations

import pytest
from support.bed import host
from support.role import refused, use

HOST = host("one")
CLOSED = {"127.0.0.1:1": {"username": "shop", "password": "a-test's-own"}}  # a registry that does not answer


def seen() -> tuple[str, str, str]:
    """What a run that is refused leaves as it was."""
    networks = HOST.check_output("docker network ls --no-trunc --format '{{.Name}} {{.ID}}'")
    packages = HOST.check_output("dpkg-query --show docker.io python3-requests python3-psycopg2")
    return networks, packages, HOST.check_output("systemctl show --property=MainPID docker")


def test_the_engine_is_the_distributions_and_starts_at_boot() -> None:
    assert HOST.package("docker.io").is_installed
    assert HOST.service("docker").is_running
    assert HOST.service("docker").is_enabled


def test_the_network_is_a_bridge_of_its_own() -> None:
    assert HOST.check_output("docker network inspect --format '{{.Driver}}' shop") == "bridge"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"docker_engine_install": "perhaps"}, "docker_engine_install"),
        ({"docker_engine_images": ["127.0.0.1:1/shop:1"], "docker_engine_registries": CLOSED}, "127.0.0.1:1/shop:1"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(variables: dict[str, object], said: str) -> None:
    before = seen()
    assert said in refused(**variables)
    assert seen() == before


def test_an_engine_that_is_stopped_is_left_alone() -> None:
    assert HOST.run("systemctl stop docker docker.socket").succeeded
    try:
        assert "The Docker engine of one refused the request" in refused()
        assert not HOST.service("docker").is_running
    finally:
        assert HOST.run("systemctl start docker docker.socket").succeeded


def test_absent_removes_the_network_alone() -> None:
    status, said = use(scenario_entry="absent", docker_engine_network="other")
    assert not status, said
    assert "shop" in seen()[0]
