# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine's words for an object that is not there are taken for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

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


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Have ``docker`` be a shell script."""

    def be(script: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return be


def test_both_streams_are_one(engine: Callable[[str], None]) -> None:
    engine('echo "$*"; echo "$GIVEN" >&2; exit 3')
    assert docker.run("ps", "--all", environment={"GIVEN": "more"}) == (3, "ps --all\nmore\n")


def test_an_engine_that_takes_too_long(engine: Callable[[str], None]) -> None:
    engine("exec sleep 60")
    with pytest.raises(SlipwayError) as error:
        docker.run("ps", timeout=0.1)
    assert str(error.value) == ("docker ps has not ended within 0.1 s: see whether the engine answers to docker info.")


def test_a_host_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SlipwayError, match=r"^There is no docker on the host's PATH: install Docker Engine there, or us"
    ):
        docker.run("ps")


@pytest.mark.parametrize(
    ("script", "reason"), [("echo no; echo '  room' >&2; exit 1", "no room"), ("exit 4", "exit status 4")]
)
def test_what_must_succeed(engine: Callable[[str], None], script: str, reason: str) -> None:
    engine(script)
    with pytest.raises(SlipwayError) as error:
        docker.must("volume", "rm", "data")
    assert str(error.value) == f"docker volume rm failed: {reason}; check the engine with docker info."


OF_A_CONTAINER = """
said="$1 inspect of ${5:-} $4"
case "$said" in
  *gone*) echo "Error: No such container: gone"; exit 1 ;;
  "container inspect of shop "*Env*) echo '["PASSWORD=hunter2-secret", "TOKEN=of-the-image", "A=b"]' ;;
  "container inspect of filed "*Env*) echo '["PASSWORD_FILE=/run/secrets/password", "LOCAL_FILE=/not/mounted"]' ;;
  "container inspect of filed "*Mounts*) echo "$MOUNTS" ;;
  "container inspect of shop "*Image*) echo an-image ;;
  "image inspect of an-image "*) echo '["TOKEN=of-the-image"]' ;;
  "container inspect of plain "*Env* | "image inspect of none "*) echo null ;;
  "container inspect of plain "*Image*) echo none ;;
  "logs "*) echo "connecting as hunter2-secret with of-the-image" ;;
esac
"""


@pytest.mark.parametrize(("container", "secrets"), [("shop", {"hunter2-secret"}), ("plain", set()), ("gone", set())])
def test_a_containers_secrets_are_those_that_its_image_does_not_say(
    engine: Callable[[str], None], container: str, secrets: set[str]
) -> None:
    engine(OF_A_CONTAINER)
    assert docker.secrets(container) == secrets


def test_a_containers_secrets_are_in_files_as_well(
    engine: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text("hunter2-of-a-file\n")
    mount = {"Source": str(tmp_path / "password"), "Destination": "/run/secrets/password"}
    monkeypatch.setenv("MOUNTS", json.dumps([mount]))
    engine(OF_A_CONTAINER)
    assert "hunter2-of-a-file" in docker.secrets("filed")


def test_the_end_of_a_log_has_no_secret(engine: Callable[[str], None]) -> None:
    engine(OF_A_CONTAINER)
    assert docker.log_end("shop", 2) == "connecting as ******** with of-the-image"
