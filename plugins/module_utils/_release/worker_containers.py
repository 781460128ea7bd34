# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers as containers like that of the release: with its image, environment, network, mounts and limits."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._release.command import by_name, environment_file
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import Container
from ansible_collections.slipway.deploy.plugins.module_utils._release.prune import RUNNING
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import Process, Worker
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

LABEL, PROCESS = "slipway.worker", "slipway.process"
STAYS = 2.0  # seconds for which a new worker must run
LONGEST = 3600.0  # seconds that all workers may have to stop, each within its own time


def start_like(like: Container, name: str, process: Process, *options: str) -> str:
    """Start a process of the application in a container called ``name``; what the engine says against it, or ''."""
    apart = by_name(like.environment)
    done = subprocess.run(
        [
            *("docker", "run", "--detach", "--init", "--no-healthcheck", *options),
            *(f"--name={name}", f"--stop-timeout={process.stop_timeout}", f"--label={PROCESS}={process.name}"),
            *(f"--label=slipway.release={like.release}", *like.options, *like.log_options),
            *("--env-file=/dev/stdin", *(f"--env={each}" for each in sorted(apart)), like.image, *process.argv),
        ],
        input=environment_file(like.environment).encode(errors="surrogateescape"),
        env={**os.environ, **apart}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return " ".join(done.stdout.decode(errors="replace").split()) if done.returncode else ""


class Containers:
    """Workers whose label is ``label``; new ones are made like the container ``like``."""

    def __init__(self, label: str, like: str) -> None:
        self.label, self.like = label, like

    def there(self) -> list[Worker]:
        """The containers of all releases."""
        listed = docker.must("ps", "--all", "--no-trunc", f"--filter=label={LABEL}={self.label}", "--format={{json .}}")
        found = []
        for row in map(json.loads, listed.splitlines()):
            labels = dict(pair.split("=", 1) for pair in row["Labels"].split(",") if "=" in pair)
            name = row["Names"].removeprefix(f"{self.label}-")
            found.append(Worker(name, labels.get(PROCESS, ""), row["State"] in RUNNING))
        return found

    def start(self, process: Process, names: Sequence[str]) -> None:
        """Start containers, and see that they run for a moment."""
        insist()
        like = Container.parse(docker.must("container", "inspect", "--format={{json .}}", self.like))
        known = {worker.name for worker in self.there()}
        for name in names:
            if name in known:
                docker.must("start", self._full(name))
            else:
                self._run(process, name, like)
        died = wait_until(lambda: any(self._trouble(name) for name in names), STAYS)
        for name in names if died else ():
            why = self._trouble(name)
            if why:
                raise SlipwayError(
                    f"Worker {name} does not run: it {why}. Its log ends:\n{docker.log_end(self._full(name))}\n"
                    "What ran before still runs; correct that and run again."
                )

    def _run(self, process: Process, name: str, like: Container) -> None:
        label = f"{LABEL}={self.label}"
        said = start_like(like, self._full(name), process, f"--label={label}", "--restart=unless-stopped")
        if said:
            raise SlipwayError(
                f"Worker {name} can't be started: {said}; correct its command. What ran before still runs."
            )

    def _trouble(self, name: str) -> str:
        """Why a container does not run as it should; '' while it does."""
        state = docker.found("container", self._full(name), "{{json .State}} {{.RestartCount}}")
        if state is None:
            return "is gone"
        found, _blank, restarts = state.rpartition(" ")
        status = json.loads(found)
        return "" if status["Running"] and restarts == "0" else f"ended with {status['ExitCode']}"

    def stop(self, names: Sequence[str]) -> None:
        """``docker stop``, which asks all at once."""
        running = {worker.name for worker in self.there() if worker.running}
        asked = [self._full(name) for name in names if name in running]
        if asked:
            insist()
            docker.must("stop", *asked, timeout=LONGEST)

    def restart(self, names: Sequence[str]) -> None:
        """``docker start``."""
        if names:
            docker.must("start", *map(self._full, names))

    def remove(self, names: Sequence[str]) -> None:
        """``docker rm`` of what is there."""
        known = {worker.name for worker in self.there()}
        gone = [self._full(name) for name in names if name in known]
        if gone:
            insist()
            docker.must("rm", "--force", "--volumes", *gone)

    def _full(self, name: str) -> str:
        return f"{self.label}-{name}"
