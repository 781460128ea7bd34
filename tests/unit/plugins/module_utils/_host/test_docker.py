# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine's words for an object that is not there are taken for."""

from __future__ import annotations

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("container", "[]\nError: No such container: shop"),
        ("container", "Error response from daemon: No such container: shop"),
        ("image", "Error: No such image: shop"),
        ("volume", "[]\nError: No such volume: shop"),
        ("volume", "Error response from daemon: get shop: no such volume"),
        ("network", "[]\nError: No such network: shop"),
        ("network", "[]\nError response from daemon: network shop not found"),
    ],
)
def test_what_is_not_there(monkeypatch: pytest.MonkeyPatch, kind: str, said: str) -> None:
    monkeypatch.setattr(docker, "run", lambda *arguments: (1, said))
    assert docker.found(kind, "shop", "{{.Id}}") is None


def test_an_engine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
    monkeypatch.setattr(docker, "run", lambda *arguments: (1, said))
    with pytest.raises(SlipwayError) as error:
        docker.found("network", "shop", "{{.Id}}")
    assert str(error.value) == (
        f"The Docker engine can't be asked for network shop: {said}; start it, or allow this user to reach it."
    )
