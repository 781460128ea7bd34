# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled commands in containers like the release that serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._host.logs import Streams
from ansible_collections.slipway.deploy.plugins.module_utils._release import command_start
from ansible_collections.slipway.deploy.plugins.module_utils._release.command_start import NOT_STARTED, InContainers
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import Process
from support.release import docker, images
from support.workers import SECRET

pytestmark = [pytest.mark.once, pytest.mark.container]

LABEL = "slipway-test-scheduled"
FULL = f"{LABEL}-command-cleanup"


@pytest.fixture(scope="module")
def where() -> Iterator[InContainers]:
    docker(
        "run", "--detach", f"--name={LABEL}-backend-one", f"--label=slipway.backend={LABEL}-backend",
        "--label=slipway.release=one", f"--env=PASSWORD={SECRET}", "--memory=64m", "--pids-limit=33", "--cap-drop=ALL",
        "--read-only", images()["SLIPWAY_PYTHON_IMAGE"], "sleep", "600",
    )  # fmt: skip
    yield InContainers(LABEL, f"{LABEL}-backend", "")
    for container in docker("ps", "--all", "--quiet", f"--filter=name=^{LABEL}-").split():
        docker("rm", "--force", container)


def test_it_is_like_the_release_and_what_it_wrote_is_found(where: InContainers) -> None:
    assert where.release() == "one"
    assert not where.works("cleanup")
    for status in (0, 3):  # the second run takes the place of the first
        said = f"echo run {status}; exit {status}"
        assert where.run(Process("cleanup", ["sh", "-c", said], stop_timeout=15)) == status
    [found] = json.loads(docker("container", "inspect", FULL))
    host = found["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["CapDrop"], host["ReadonlyRootfs"]) == (
        64 * 2**20, 33, ["ALL"], True,
    )  # fmt: skip
    assert (host["RestartPolicy"]["Name"], found["Config"]["StopTimeout"]) == ("no", 15)
    assert f"PASSWORD={SECRET}" in found["Config"]["Env"]
    assert docker("logs", FULL) == "run 3"
    streams = Streams({"follow": False, "lines": 9, "since": 0, "sources": []})
    source = {"name": "command", "filter": f"label=slipway.schedule={LABEL}", "by": "slipway.process"}
    assert [arguments[0] for _key, _work, arguments in streams._parts(source)] == ["cleanup"]
    assert where.run(Process("cleanup", ["no-such-program"])) == NOT_STARTED


def test_one_that_is_at_work_is_stopped_in_its_time(where: InContainers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_start, "passing_on", lambda stop: threading.Lock())  # signals are the main thread's
    statuses: list[int] = []
    process = Process("cleanup", ["sh", "-c", "trap 'exit 9' TERM; sleep 60 & wait"], stop_timeout=15)
    thread = threading.Thread(target=lambda: statuses.append(where.run(process)))
    thread.start()
    assert wait_until(lambda: where.works("cleanup"), 20)
    where._stop(FULL)  # as at a SIGTERM
    thread.join(20)
    assert statuses == [9]
    where.remove("cleanup", 5)
    assert docker("ps", "--all", "--quiet", f"--filter=name=^{FULL}$") == ""
    where.remove("cleanup", 5)


def test_without_a_release_there_is_nothing_to_run_it_with(where: InContainers) -> None:
    with pytest.raises(SlipwayError, match="No release runs here"):
        InContainers(LABEL, "another", "").run(Process("cleanup", ["true"]))
