# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers as processes like the release that serves: with its environment, in its directory."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked, of_environment
from ansible_collections.slipway.deploy.plugins.module_utils._release import service
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process as Running
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Spec
from ansible_collections.slipway.deploy.plugins.module_utils._release.workers import Process, Worker
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

STAYS = 2.0  # seconds for which a new worker must run


@dataclass(frozen=True)
class Kept:
    """What the state says of a worker: of which process it is, which process of the host, and its time to stop."""

    process: str
    running: Running
    stop_timeout: int


class Processes:
    """Workers whose state and logs are in ``directory``; new ones are started like ``like``, the one that serves."""

    def __init__(self, directory: str, like: Running | None) -> None:
        self.directory, self.like = directory, like
        self.file = os.path.join(directory, "state.json")
        text = read(self.file)
        self.state: dict[str, Kept] = {
            name: Kept(each["process"], Running(**each["running"]), each["stop_timeout"])
            for name, each in (json.loads(text) if text else {}).items()
        }
        self.stopped: dict[str, Spec] = {}  # how to start again what was stopped

    def there(self) -> list[Worker]:
        """Those that were started and not removed since."""
        return [Worker(name, each.process, service.alive(each.running)) for name, each in self.state.items()]

    def start(self, process: Process, names: Sequence[str]) -> None:
        """Start processes, and see that they run for a moment."""
        insist()
        assert self.like
        like = service.as_started(self.like)
        os.makedirs(self.directory, 0o700, exist_ok=True)
        ends = {name: os.path.getsize(self.log(name)) if os.path.exists(self.log(name)) else 0 for name in names}
        for name in names:
            self._run(name, process.name, process.stop_timeout, Spec(process.argv, like.env, like.cwd))
        died = wait_until(lambda: not all(self._runs(name) for name in names), STAYS)
        for name in names if died else ():
            if not self._runs(name):
                said = masked(service.log_end(self.log(name), ends[name]), of_environment(like.env))
                raise SlipwayError(
                    f"Worker {name} does not run: it ended at once. Its log ends:\n{said}\n"
                    "What ran before still runs; correct that and run again."
                )

    def stop(self, names: Sequence[str]) -> None:
        """SIGTERM to all at once, and SIGKILL to those that take longer than they may."""
        insist()
        for name in names:
            kept = self.state.get(name)
            if kept and service.alive(kept.running):
                self.stopped[name] = service.as_started(kept.running)
        asked = [
            threading.Thread(target=service.stop, args=(self.state[name].running, self.state[name].stop_timeout))
            for name in names
            if name in self.state
        ]
        for thread in asked:
            thread.start()
        for thread in asked:
            thread.join()

    def restart(self, names: Sequence[str]) -> None:
        """Start again what this run has stopped, with the environment that it had."""
        for name, spec in self.stopped.items():
            if name in names:
                self._run(name, self.state[name].process, self.state[name].stop_timeout, spec)

    def remove(self, names: Sequence[str]) -> None:
        """Forget processes, and remove their logs."""
        for name in names:
            self.state.pop(name, None)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.log(name))
        self._save()

    def log(self, name: str) -> str:
        """The file of what a worker writes."""
        return os.path.join(self.directory, f"{name}.log")

    def _run(self, name: str, process: str, stop_timeout: int, spec: Spec) -> None:
        def note(running: Running) -> None:
            self.state[name] = Kept(process, running, stop_timeout)
            self._save()

        service.start(spec, 0, self.log(name), note)

    def _runs(self, name: str) -> bool:
        return name in self.state and service.alive(self.state[name].running)

    def _save(self) -> None:
        if os.path.isdir(self.directory):
            text = json.dumps({name: asdict(each) for name, each in self.state.items()}, indent=1)
            replace_file(self.file, text + "\n")
