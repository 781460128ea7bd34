# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that is there is never touched: docker.io is only for a host without any."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.release import ansible, docker, images

pytestmark = pytest.mark.container

HERE = Path(__file__).parent
HOST = "slipway-test-engine"


def check(home: Path, host: str, *, install: bool, **more: object) -> subprocess.CompletedProcess[str]:
    """Run the role in check mode."""
    variables = {"docker_engine_install": install, "docker_engine_network": HOST, **more}
    return ansible(
        home, "ansible-playbook", "-i", f"{host},", "--check", "-e", json.dumps(variables), str(HERE / "engine.yml")
    )


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """A host without Docker, and without Python's requests."""
    docker("run", "--detach", "--init", "--name", HOST, images()["SLIPWAY_PYTHON_IMAGE"], "sleep", "600")
    yield HOST
    docker("rm", "--force", HOST)


@pytest.fixture
def container() -> dict[str, str]:
    return {"ansible_connection": "community.docker.docker", "ansible_python_interpreter": "/usr/local/bin/python3"}


def test_engine_that_does_not_answer_is_left_alone(tmp_path: Path) -> None:
    reach = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    for install in (True, False):
        done = check(tmp_path, "localhost", install=install, **reach, run_docker_host="unix:///nowhere.sock")
        assert done.returncode, done.stdout
        assert "would be installed" not in done.stdout
        assert "The Docker engine of localhost refused the request (Error" in done.stdout


def test_host_without_docker(tmp_path: Path, host: str, container: dict[str, str]) -> None:
    done = check(tmp_path, host, install=False, **container)
    assert done.returncode
    assert f"There is no Docker on {host}: install it, or set docker_install to true" in done.stdout
    done = check(tmp_path, host, install=True, **container)
    assert not done.returncode, done.stdout
    assert "Would be installed: docker.io, python3-psycopg2, python3-requests." in done.stdout
    assert "changed=1" in done.stdout


def test_host_with_docker_but_without_what_python_needs(tmp_path: Path, host: str, container: dict[str, str]) -> None:
    docker(
        "exec", "--user", "root", host, "sh", "-c", "printf '#!/bin/sh\\n' >/usr/bin/docker; chmod +x /usr/bin/docker"
    )
    done = check(tmp_path, host, install=False, **container)
    assert done.returncode
    assert "requests" in done.stdout
    assert f"Python on {host} lacks what Ansible's Docker modules need" in done.stdout
    assert "set docker_install to true" in done.stdout
    done = check(tmp_path, host, install=True, **container)
    assert not done.returncode, done.stdout
    assert "Would be installed: python3-psycopg2, python3-requests." in done.stdout


def test_host_of_a_system_without_apt(tmp_path: Path, host: str, container: dict[str, str]) -> None:
    docker("exec", "--user", "root", host, "sh", "-c", "rm -f /usr/bin/docker /usr/bin/apt-get")
    done = check(tmp_path, host, install=True, **container)
    assert done.returncode
    assert f"{host} lacks Docker, and is no Debian or Ubuntu (Debian GNU/Linux 12 (bookworm)), whose" in done.stdout
    assert "Would be installed" not in done.stdout
