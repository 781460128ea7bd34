# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries the release that serves, and the new one, on a copy of the database whose schema is changed meanwhile.

The release that serves begins before the change and is asked, which says what is right and has it prepare its
statements; it stands still during the change, with its connections open, as the one that serves will live through it,
and is asked again. Requests that write are asked before on a copy of that copy, so that the change meets the data as it
was.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import Container
from ansible_collections.slipway.deploy.plugins.module_utils._release.probe import (
    TOO_MANY,
    Answer,
    Probe,
    Request,
    from_log,
    rank,
)
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Spec
from ansible_collections.slipway.deploy.plugins.module_utils._release.service import PRIVATE_HOST
from ansible_collections.slipway.deploy.plugins.module_utils._release.serving import container_of, process_of
from ansible_collections.slipway.deploy.plugins.module_utils._release.trial import Place, Trials, confined

PORT = 8000  # of a process that is tried, in a network of its own
SERVING, WRITING, NEW = "serving", "writing", "new"
# Drivers prepare a statement when they have run it some times: psycopg and JDBC after five.
ROUNDS = 7
LOG_LINES = 20_000
WRITES = 2  # what may be there once only is refused the second time
ROUNDS_WITHIN = 3.0  # seconds; at least two rounds, to see what differs by itself


@dataclass(frozen=True)
class Release:
    """A release, as a process with the layers of its directory, or as a container.

    ``holder`` is the image of the container that holds the network which a container that is tried may need.
    """

    name: str
    port: int
    process: Spec | None = None
    container: Container | None = None
    layers: Sequence[str] = ()
    holder: str = ""

    def start(self, trials: Trials, trial: str, database: str, sought: Place) -> None:
        if self.process:
            trials.process(trial, self.process, self.port, database, sought, self.layers)
        elif self.container:
            trials.in_container(trial, self.container, self.port, database, sought, self.holder)


def serving_release(params: Mapping[str, Any]) -> Release | None:
    """The release that serves, as it was started; None where none runs.

    SlipwayError, a clause, where it can't be started again. ``params`` are those of the module.
    """
    if params["label"]:
        container = container_of(params["label"], params["config"])
        if not container:
            return None
        return Release(
            container.release, params["port"], container=container, holder=holder_of(params) or container.image
        )
    found = process_of(os.path.join(params["directory"], "backend"))
    if not found:
        return None
    process, spec = found
    name = params["serving_release"]
    kept = os.path.join(params["trees"], name)
    if name != params["release"] and not os.path.isdir(kept):
        raise SlipwayError(f"what release {name} runs from was not kept in {kept}")
    return Release(name, process.port, process=spec, layers=[] if name == params["release"] else [kept])


def new_release(params: Mapping[str, Any], environment: Mapping[str, str], serving: Release) -> Release | None:
    """The new release; None where there is none, or where it is the one that serves."""
    if params["argv"]:
        spec = Spec(params["argv"], environment, params["cwd"]).at(PRIVATE_HOST, PORT)
        return None if serving.name == params["release"] else Release(params["release"], PORT, process=spec)
    if not params["image"]:
        return None
    image = docker.must("image", "inspect", "--format={{.Id}}", params["image"]).strip()
    options = confined(params["memory"], params["cpus"], params["pids"], params["volumes"])
    container = Container("", image, params["release"], environment, options)
    like = serving.container
    if like and like.image == image and environment.items() <= like.environment.items():
        return None
    return Release(params["release"], params["port"], container=container, holder=serving.holder)


def holder_of(params: Mapping[str, Any]) -> str:
    """The image of the nginx that is there, which has a command ``sleep``, as a release's may not; '' for none."""
    return (docker.found("container", params["frontend"], "{{.Image}}") if params["frontend"] else "") or ""


def asked_lately(frontend: str, known: Sequence[Request], most: int) -> list[str]:
    """Paths that the log of nginx shows of the last hour; see ``from_log``."""
    status, log = docker.run("logs", "--since=1h", f"--tail={LOG_LINES}", frontend)
    return [] if status else [request.path for request in from_log(log.splitlines(), known, most)]


@dataclass(frozen=True)
class Asking:
    """What both are asked: first whether they are ready, then all else; ``patience`` is how long they have to start."""

    trials: Trials
    requests: Sequence[Request]
    patience: float

    def before(self, serving: Release, database: str, writable: str, sought: Place) -> None:
        """Have the release answer on the copies as they are, and hold it; SlipwayError, a clause, where it can't."""
        trials = self.trials
        if writable:
            serving.start(trials, WRITING, writable, sought)
        serving.start(trials, SERVING, database, sought)
        answers = {0: self._ready(SERVING)}
        began = time.monotonic()
        steady = set(range(len(self.requests)))
        for number in range(ROUNDS):
            for place, request in enumerate(self.requests):
                if request.reads and place:
                    answer = self._ask(SERVING, request)
                    first = answers.setdefault(place, answer).status
                    if rank(first) != rank(answer.status) and TOO_MANY not in (first, answer.status):
                        steady.discard(place)
            if number and time.monotonic() - began > ROUNDS_WITHIN:
                break
        if writable:
            self._ready(WRITING)
            for place, request in enumerate(self.requests):
                if not request.reads:
                    answers[place], again = (self._ask(WRITING, request) for _ in range(WRITES))
                    if rank(again.status) != rank(answers[place].status):
                        steady.discard(place)
            trials.stop(WRITING)
        trials.freeze(SERVING, True)
        trials.notes["before"] = [
            {"status": answers[place].status, "steady": place in steady} for place in range(len(self.requests))
        ]
        trials.save()

    def after(self, new: Release | None, database: str, sought: Place) -> list[Probe]:
        """Have both answer on the changed copy. SlipwayError, a clause, where the new one can't be started at all."""
        probes = [
            Probe(request.shown, Answer(each["status"]), each["steady"])
            for request, each in zip(self.requests, self.trials.notes["before"])
        ]
        if new:
            new.start(self.trials, NEW, database, sought)
        self.trials.freeze(SERVING, False)
        probes = [replace(probe, serving=answer) for probe, answer in zip(probes, self._all(SERVING))]
        if new:
            ready = self.trials.ready(NEW, self.requests[0], self.patience)
            others = self._all(NEW)[1:] if rank(ready.status) == 0 else []
            answers = [self._explained(NEW, ready), *others]
            probes[: len(answers)] = [replace(probe, new=each) for probe, each in zip(probes, answers)]
        return probes

    def _ready(self, trial: str) -> Answer:
        answer = self.trials.ready(trial, self.requests[0], self.patience)
        if rank(answer.status):
            said = "; ".join(answer.errors) or self._last_line(trial) or "it said nothing"
            raise SlipwayError(
                f"before any change it did not get ready on the copy: {self.requests[0].shown} was answered "
                f"{answer.said} ({said})"
            )
        return answer

    def _all(self, trial: str) -> list[Answer]:
        """The answers to all requests, those that write last."""
        order = sorted(range(len(self.requests)), key=lambda place: not self.requests[place].reads)
        answers = {}
        for place in order:
            times = 1 if self.requests[place].reads else WRITES
            answers[place] = max(
                (self._ask(trial, self.requests[place]) for _ in range(times)), key=lambda answer: rank(answer.status)
            )
        return [answers[place] for place in range(len(self.requests))]

    def _ask(self, trial: str, request: Request) -> Answer:
        return self._explained(trial, self.trials.ask(trial, request, f"t{secrets.token_hex(5)}"))

    def _explained(self, trial: str, answer: Answer) -> Answer:
        unexplained = rank(answer.status) == 2 and not answer.errors
        return replace(answer, log=self._last_line(trial)) if unexplained else answer

    def _last_line(self, trial: str) -> str:
        lines = [line.strip() for line in self.trials.log_end(trial).splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""
