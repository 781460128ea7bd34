# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a scheduled command runs: like the release that serves when its time comes, whichever that is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Protocol

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._release import service
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import Container
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process as Running
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Spec
from ansible_collections.slipway.deploy.plugins.module_utils._release.prune import RUNNING
from ansible_collections.slipway.deploy.plugins.module_utils._release.serving import container_of, process_of
from ansible_collections.slipway.deploy.plugins.module_utils._release.worker_containers import LONGEST, start_like
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import Process
from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger

LABEL = "slipway.schedule"
NOTHING_SERVES = "No release runs here, so that there is nothing to run the command with: deploy first."
NOT_STARTED = 127  # the exit status of a shell for a command that can't be started
_WATCH = 86_400.0  # seconds for which the engine's client waits at a time


class Place(Protocol):
    """Where commands run, one of a name at a time."""

    def works(self, name: str) -> bool:
        """Whether a command of this name is at work on this host, also one that nobody waits for any more."""

    def release(self) -> str:
        """The release that serves. Raises SlipwayError where none does."""

    def run(self, process: Process) -> int:
        """Run a command to its end; its exit status. A SIGTERM is passed on to it.

        What it writes is kept until its next run at least. Raises SlipwayError where no release serves.
        """

    def remove(self, name: str, seconds: float) -> None:
        """Have it stop within its time, and remove what is left of it."""


@contextlib.contextmanager
def passing_on(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` in place of ending at a SIGTERM, within a ``with`` block."""

    def handle(number: int, frame: FrameType | None) -> None:
        stop()

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class InContainers:
    """In containers like the one of the release; ``backend`` is the label by which that is found, see container_of."""

    def __init__(self, label: str, backend: str, config: str) -> None:
        self.label, self.backend, self.config = label, backend, config

    def works(self, name: str) -> bool:
        return docker.found("container", self._full(name), "{{.State.Status}}") in RUNNING

    def release(self) -> str:
        return self._like().release

    def run(self, process: Process) -> int:
        like, full = self._like(), self._full(process.name)
        self.remove(process.name, 0)  # of the run before
        said = start_like(like, full, process, f"--label={LABEL}={self.label}")
        if said:
            print(f"The command can't be started: {said}", flush=True)
            return NOT_STARTED
        with passing_on(lambda: self._stop(full)):
            while self.works(process.name):
                with contextlib.suppress(SlipwayError):  # it takes longer than one waits at a time
                    docker.run("wait", full, timeout=_WATCH)
        return int(docker.found("container", full, "{{.State.ExitCode}}") or NOT_STARTED)

    def remove(self, name: str, seconds: float) -> None:
        if docker.found("container", self._full(name), "{{.Id}}") is None:
            return
        if self.works(name):
            docker.must("stop", "-t", f"{seconds:.0f}", self._full(name), timeout=seconds + LONGEST)
        docker.must("rm", "--force", "--volumes", self._full(name))

    @staticmethod
    def _stop(full: str) -> None:
        docker.run("stop", full, timeout=LONGEST)

    def _like(self) -> Container:
        like = container_of(self.backend, self.config)
        if like is None:
            raise SlipwayError(NOTHING_SERVES)
        return like

    def _full(self, name: str) -> str:
        return f"{self.label}-command-{name}"


class AsProcesses:
    """As processes like the one that serves; what they write is in ``files``, and Slipway's state in ``directory``."""

    def __init__(self, directory: Path, files: Path) -> None:
        self.directory, self.files = directory, files

    def works(self, name: str) -> bool:
        return service.alive(self._running(name))

    def release(self) -> str:
        self._like()
        return str(Ledger(self.directory).serving().get("release", ""))

    def run(self, process: Process) -> int:
        like = self._like()
        log = self.files / f"{process.name}-scheduled-runs.log"  # as the log of a worker is named
        if log.exists() and log.stat().st_size > service.LOG_LIMIT:
            log.replace(f"{log}.1")
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            try:
                child = subprocess.Popen(
                    process.argv, env={**service.inherited(), **like.env}, cwd=like.cwd,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                output.write(f"{process.argv[0]} can't be started: {plain(error)}\n".encode())
                return NOT_STARTED
        running = Running(child.pid, service.started(child.pid) or "", 0)
        replace_file(str(self._state(process.name)), json.dumps(asdict(running)) + "\n")
        with passing_on(lambda: service.stop(running, process.stop_timeout)):
            status = child.wait()
        return status if status >= 0 else 128 - status  # as a shell tells of a signal

    def remove(self, name: str, seconds: float) -> None:
        service.stop(self._running(name), seconds)
        for path in self.files.glob(f"{name}-scheduled-runs.log*"):
            path.unlink()
        self._state(name).unlink(missing_ok=True)

    def _state(self, name: str) -> Path:
        return self.files / f"{name}.json"

    def _running(self, name: str) -> Running | None:
        text = read(str(self._state(name)))
        return Running(**json.loads(text)) if text else None

    def _like(self) -> Spec:
        found = process_of(str(self.directory / "backend"))
        if found is None:
            raise SlipwayError(NOTHING_SERVES)
        return found[1]
