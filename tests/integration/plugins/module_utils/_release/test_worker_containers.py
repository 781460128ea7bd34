# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that are containers are like the release, and lose no job, whatever is released."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.logs import Streams
from support.modules import run_module
from support.release import docker, images
from support.workers import BROKEN, SECRET, WORKER, whole

pytestmark = [pytest.mark.once, pytest.mark.container]

LABEL = "slipway-test-workers"


@pytest.fixture(scope="module")
def release() -> Iterator[Callable[[str], str]]:
    image = images()["SLIPWAY_PYTHON_IMAGE"]

    def made(name: str) -> str:
        docker(
            "run", "--detach", f"--name={LABEL}-backend-{name}", f"--env=RELEASE={name}", f"--env=PASSWORD={SECRET}",
            "--memory=64m", "--pids-limit=33", "--cap-drop=ALL", "--read-only", "--log-opt=max-size=1m", image,
            "sleep", "600",
        )  # fmt: skip
        return f"{LABEL}-backend-{name}"

    yield made
    for container in docker("ps", "--all", "--quiet", f"--filter=name=^{LABEL}-").split():
        docker("rm", "--force", container)


def containers() -> dict[str, str]:
    listed = docker("ps", "--all", f"--filter=label=slipway.worker={LABEL}", "--format={{.Names}} {{.State}}")
    return dict(line.split() for line in listed.splitlines())


def test_containers_are_like_the_release_and_lose_no_job(release: Callable[[str], str], tmp_path: Path) -> None:
    def work(container: str, *, check: bool = False, **processes: dict[str, Any]) -> dict[str, Any]:
        given = {"processes": processes, "directory": str(tmp_path), "label": LABEL, "container": container}
        return run_module("workers", given, check=check)

    wanted = {"mailer": {"command": ["python", "-uc", WORKER], "count": 2, "stop_timeout": 15}}
    one = release("one")
    assert work(one, check=True, **wanted)["changed"]
    assert containers() == {}
    assert work(one, **wanted)["changed"]
    first = containers()
    assert list(first.values()) == ["running", "running"]
    found = json.loads(docker("container", "inspect", *first))
    for each in found:
        host = each["HostConfig"]
        assert (host["Memory"], host["PidsLimit"], host["CapDrop"], host["ReadonlyRootfs"]) == (
            64 * 2**20, 33, ["ALL"], True,
        )  # fmt: skip
        assert host["LogConfig"]["Config"] == {"max-size": "1m"}
        assert (host["RestartPolicy"]["Name"], each["Config"]["StopTimeout"]) == ("unless-stopped", 15)
        assert f"PASSWORD={SECRET}" in each["Config"]["Env"]
    assert not work(one, check=True, **wanted)["changed"]
    assert not work(one, **wanted)["changed"]

    streams = Streams({"follow": False, "lines": 9, "since": 0, "sources": []})
    source = {"name": "worker", "filter": f"label=slipway.worker={LABEL}", "by": "slipway.process"}
    assert [arguments[0] for _key, _work, arguments in streams._parts(source)] == ["mailer", "mailer"]

    two = release("two")
    broken = work(two, mailer={"command": ["python", "-c", BROKEN], "count": 2})
    assert "can't log in with ********" in broken["msg"]
    assert containers() == first
    docker("stop", *first)
    ended = [docker("logs", name).splitlines() for name in first]
    docker("start", *first)
    assert work(two, **wanted)["changed"]
    assert len(containers()) == 2
    assert set(containers()) & set(first) == set()
    assert all(whole(lines) for lines in ended), ended
    assert work(two)["changed"]
    assert containers() == {}
