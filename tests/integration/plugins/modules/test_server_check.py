# SPDX-License-Identifier: GPL-3.0-or-later
"""A container that was killed in its first initdb begins anew; one that holds a cluster is never touched."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.modules import run_module

IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")

pytestmark = pytest.mark.container


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def name() -> Iterator[str]:
    """Of a container and of its volume."""
    found = f"slipway-first-{uuid.uuid4().hex[:8]}"
    docker("volume", "create", found)
    yield found
    docker("rm", "--force", found)
    docker("volume", "rm", found)


def serve(name: str) -> None:
    volume = f"{name}:/var/lib/postgresql/data"
    docker("run", "--detach", "--name", name, "--volume", volume, "--env", "POSTGRES_PASSWORD=test-superuser", IMAGE)


def check(name: str, home: Path, *, check: bool = False) -> dict[str, Any]:
    file = str(home / "database.json")
    options = {"identity_file": file, "version": 15, "container": name, "volume": name, "image": IMAGE}
    return run_module("server_check", options, check=check)


def inside(name: str, path: str) -> bool:
    return docker("exec", name, "sh", "-c", f"test -e /var/lib/postgresql/data/{path} && echo yes") == "yes"


def halt(name: str) -> None:
    """Have initdb and what it has started stand still, so that it does not end while it is looked at."""
    for line in docker("top", name, "-eo", "pid,comm").splitlines()[1:]:
        pid, command = line.split(maxsplit=1)
        if command in ("initdb", "postgres"):
            os.kill(int(pid), signal.SIGSTOP)


def until(condition: Any) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline


def test_a_first_start_that_was_cut_short(name: str, tmp_path: Path) -> None:
    serve(name)
    until(lambda: inside(name, "base/1"))
    halt(name)
    assert check(name, tmp_path)["changed"] is False  # its initdb is at work
    docker("kill", name)

    told = [
        f"Removed volume {name} with what a first start that was cut short left in it: it never served and holds no "
        "data."
    ]
    assert check(name, tmp_path, check=True)["actions"] == told
    assert docker("volume", "ls", "--quiet", "--filter", f"name={name}") == name
    docker("start", name)  # as an engine that restarts it does: PostgreSQL runs into the half-made cluster
    time.sleep(2)
    done = check(name, tmp_path)
    assert (done["actions"], done["server"]) == (told, {"known": False, "running": False})
    assert docker("volume", "ls", "--quiet", "--filter", f"name={name}") == ""

    serve(name)
    until(lambda: docker("exec", name, "pg_isready", "--host=127.0.0.1", "--quiet") == "" and inside(name, "base/5"))
    until(lambda: inside(name, "postmaster.opts"))
    assert check(name, tmp_path)["changed"] is False
    docker("kill", name)
    done = check(name, tmp_path)
    assert (done["changed"], done["server"]["known"]) == (False, True)
