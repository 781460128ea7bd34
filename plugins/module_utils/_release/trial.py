# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a release apart from all others, on a copy of its database, and asks it.

A release that is tried reaches nothing but that copy: as a process it has a network and mounts of its own
(``trial_gate.py``), as a container an internal network. Where it looks for its database a relay (``copy_relay.py``)
waits, which leads to the copy whatever it asks for. So it runs as it does elsewhere, with its own environment.

What was started is in a file, for another module of the same run to go on with, and for whoever comes after a run that
was killed to end.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import inspect
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked, of_environment
from ansible_collections.slipway.deploy.plugins.module_utils._release import copy_relay, service, trial_gate
from ansible_collections.slipway.deploy.plugins.module_utils._release.command import by_name, environment_file
from ansible_collections.slipway.deploy.plugins.module_utils._release.one_off import Container
from ansible_collections.slipway.deploy.plugins.module_utils._release.probe import NO_ANSWER, Answer, Request
from ansible_collections.slipway.deploy.plugins.module_utils._release.process import Process, Spec
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import mark

LABEL = "slipway.trial"
SOCKET = ".s.PGSQL.{port}"  # as PostgreSQL names it in its directory
ANSWERS_WITHIN = 10  # seconds
STOPS_WITHIN = 5  # seconds, since it has nothing to finish


@dataclass(frozen=True)
class Place:
    """Where a database is: in the directory of a Unix socket, or at a host; ``port`` goes with each."""

    socket: str = ""
    host: str = ""
    port: int = 5432

    @property
    def listening(self) -> str | tuple[str, int]:
        return os.path.join(self.socket, SOCKET.format(port=self.port)) if self.socket else (self.host, self.port)


@dataclass(frozen=True)
class Trial:
    """One release that is tried. ``http`` is where it answers: the path of a socket, or host and port."""

    name: str
    database: str
    relay: Process | None = None
    app: Process | None = None
    container: str = ""
    network: str = ""
    http: Any = None

    @classmethod
    def load(cls, found: Mapping[str, Any]) -> Trial:
        app, relay = (Process(**found[name]) if found[name] else None for name in ("app", "relay"))
        return cls(**{**found, "app": app, "relay": relay})


class Connection(http.client.HTTPConnection):
    """A connection to a release that is tried."""

    def __init__(self, address: Any) -> None:
        super().__init__("localhost", timeout=ANSWERS_WITHIN)
        self._address = address

    def connect(self) -> None:
        if isinstance(self._address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(self._address)
        else:
            self.sock = socket.create_connection(tuple(self._address), self.timeout)


@dataclass
class Trials:
    """Those of one application. ``directory`` is short, since it holds sockets; ``label`` tells containers apart."""

    directory: str
    label: str
    copy: Place
    trials: dict[str, Trial] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()

    @classmethod
    def of(cls, state: str, label: str, copy: Place) -> Trials:
        """Those that an earlier call left, or none; ``state`` is the application's own directory."""
        directory = f"/tmp/slipway-trial-{hashlib.sha256(os.path.realpath(state).encode()).hexdigest()[:16]}"
        found = cls(directory, label, copy)
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(directory).st_uid != os.geteuid():
                raise SlipwayError(f"{directory} belongs to another user: remove it, and run again.")
            data = json.loads(read(found.file) or '{"trials": [], "notes": {}}')
            found.trials = {each["name"]: Trial.load(each) for each in data["trials"]}
            found.notes = data["notes"]
        return found

    @property
    def file(self) -> str:
        return os.path.join(self.directory, "state.json")

    def save(self) -> None:
        trials = [asdict(trial) for trial in self.trials.values()]
        replace_file(self.file, json.dumps({"trials": trials, "notes": self.notes}))

    def path(self, trial: str, name: str) -> str:
        return os.path.join(self.directory, trial, name)

    # Starting

    def process(self, name: str, spec: Spec, port: int, database: str, sought: Place, layers: Sequence[str]) -> None:
        """Start a process that looks for its database at ``sought``, with these layers as the directory it runs in."""
        if not sought.socket and sought.host not in ("localhost", "127.0.0.1", ""):
            raise SlipwayError(f"its database is reached at {sought.host}, and it has no network while it is tried")
        self._begin(name, database, spec.env)
        run, scratch, http_socket = (self.path(name, each) for each in ("run", "scratch", "http"))
        os.mkdir(run)
        os.mkdir(scratch)
        listener = Place(run, port=sought.port)
        self._relay(name, listener.listening)
        told = {
            "argv": list(spec.argv), "directory": spec.cwd, "http": http_socket, "port": port,
            "ports": [] if sought.socket else [[sought.port, listener.listening]],
            "mounts": [[run, sought.socket]] if sought.socket else [],
            "trees": [{"layers": [*layers, spec.cwd], "place": spec.cwd, "scratch": scratch}],
        }  # fmt: skip
        argv = [sys.executable, "-I", self._program(trial_gate), json.dumps(told)]
        apart = Spec(argv, {**spec.env, **mark()}, spec.cwd)
        service.start(apart, port, self.path(name, "log"), lambda app: self._know(name, app=app, http=http_socket))

    def in_container(self, name: str, like: Container, port: int, database: str, sought: Place) -> None:
        """Start a container like another one, in a network that leads nowhere but to the relay."""
        if not sought.host or sought.host.replace(".", "").isdigit():
            where = sought.host or sought.socket
            raise SlipwayError(f"its database is reached at {where}, which no name leads to the copy for")
        self._begin(name, database, like.environment)
        container = f"{self.label}-trial-{name}"
        self._know(name, container=container, network=container)
        docker.must("network", "create", "--internal", f"--label={LABEL}={self.label}", container)
        gateway = docker.must("network", "inspect", "--format={{(index .IPAM.Config 0).Gateway}}", container).strip()
        self._relay(name, (gateway, sought.port))
        named = by_name(like.environment)
        command = [
            *("run", "--detach", "--init", "--no-healthcheck", f"--name={container}", f"--label={LABEL}={self.label}"),
            *(f"--network={container}", f"--add-host={sought.host}:{gateway}", *harmless(like.options)),
            *("--log-driver=json-file", "--log-opt=max-size=1m", "--env-file=/dev/stdin"),
            *(f"--env={each}" for each in sorted(named)),
            like.image,
        ]
        with tempfile.TemporaryFile() as variables:
            variables.write(environment_file(like.environment).encode(errors="surrogateescape"))
            variables.seek(0)
            status, output = docker.run(*command, stdin=variables, environment=named)
        if status:
            raise SlipwayError(f"its container can't be started: {' '.join(output.split())}")
        template = f'--format={{{{(index .NetworkSettings.Networks "{container}").IPAddress}}}}'
        address = docker.must("container", "inspect", template, container).strip()
        self._know(name, http=(address, port))

    def _begin(self, name: str, database: str, environment: Mapping[str, str]) -> None:
        if not self.trials:
            os.mkdir(self.directory, 0o700)  # and no one that somebody else has made there
        os.mkdir(os.path.join(self.directory, name), 0o700)
        self.secrets |= of_environment(environment)
        self.trials[name] = Trial(name, database)
        self.save()

    def _know(self, name: str, **known: Any) -> None:
        self.trials[name] = replace(self.trials[name], **known)
        self.save()

    def _relay(self, name: str, listen: str | tuple[str, int]) -> None:
        told = {
            "listen": listen, "server": self.copy.listening, "database": self.trials[name].database,
            "errors": self.path(name, "errors"),
        }  # fmt: skip
        argv = [sys.executable, "-I", self._program(copy_relay), json.dumps(told)]
        log = self.path(name, "relay.log")
        relay = service.start(Spec(argv, mark(), "/"), 0, log, lambda found: self._know(name, relay=found))
        if not wait_until(lambda: not service.alive(relay) or listens(listen), 10) or not service.alive(relay):
            raise SlipwayError(f"nothing can listen where it looks for its database: {service.log_end(log, 0, 1)}")

    def _program(self, module: Any) -> str:
        path = os.path.join(self.directory, f"{module.__name__.rpartition('.')[2]}.py")
        replace_file(path, inspect.getsource(module))  # also out of the zip file from which Ansible runs modules
        return path

    # Asking

    def ask(self, name: str, request: Request, word: str) -> Answer:
        """Make a request; ``word`` is what is unique in it. What the database refused meanwhile is in the answer."""
        known = len(read(self.path(name, "errors")))
        made = request.made(word)
        connection = Connection(self.trials[name].http)
        try:
            connection.request(
                made.method, made.path, made.body.encode() or None, {**made.headers, "Connection": "close"}
            )
            response = connection.getresponse()
            response.read()
            status = response.status
        except (OSError, ValueError, http.client.HTTPException):
            status = NO_ANSWER
        finally:
            connection.close()
        return Answer(status, self._errors(name, known))

    def _errors(self, name: str, known: int) -> tuple[str, ...]:
        lines = read(self.path(name, "errors"))[known:].splitlines()
        found = (json.loads(line) for line in lines)
        texts = (f"{each['message']} ({each['code']})" for each in found)
        return tuple(dict.fromkeys(masked(text, self.secrets) for text in texts))

    def ready(self, name: str, request: Request, seconds: float) -> Answer:
        """Ask until it is ready, it has ended, or the time is over."""
        answer = Answer(NO_ANSWER)

        def decided() -> bool:
            nonlocal answer
            answer = self.ask(name, request, "ready")
            return 200 <= answer.status < 300 or not self.runs(name)

        wait_until(decided, seconds)
        return answer if 200 <= answer.status < 300 else replace(answer, errors=answer.errors or self._errors(name, 0))

    def runs(self, name: str) -> bool:
        trial = self.trials[name]
        if trial.container:
            return docker.found("container", trial.container, "{{.State.Running}}") == "true"
        return service.alive(trial.app)

    def log_end(self, name: str) -> str:
        """The last lines that it wrote, without secrets."""
        trial = self.trials[name]
        if trial.container:
            return docker.log_end(trial.container, 15)
        return masked(service.log_end(self.path(name, "log"), 0, 15), self.secrets)

    # Holding and ending

    def freeze(self, name: str, frozen: bool) -> None:
        """Have it do nothing, with its connections open, or go on."""
        trial = self.trials[name]
        if trial.container:
            docker.must("pause" if frozen else "unpause", trial.container)
        elif trial.app:
            os.killpg(trial.app.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def stop(self, name: str) -> None:
        trial = self.trials[name]
        if trial.container:
            docker.run("rm", "--force", "--volumes", trial.container)
        if trial.app and service.alive(trial.app):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(trial.app.pid, signal.SIGCONT)
            service.stop(trial.app, STOPS_WITHIN)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(trial.app.pid, signal.SIGKILL)  # what it started
        service.stop(trial.relay, STOPS_WITHIN)
        if trial.network:
            docker.run("network", "rm", trial.network)
        del self.trials[name]
        self.save()

    def clean(self, containers: bool) -> bool:
        """End all, also what an earlier run left; whether there was anything."""
        there = bool(self.trials)
        for name in list(self.trials):
            self.stop(name)
        if containers:
            there = self._clean_containers() or there
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.directory)
        return there

    def _clean_containers(self) -> bool:
        mine = f"--filter=label={LABEL}={self.label}"
        left = docker.must("ps", "--all", mine, "--format={{.Names}}").split()
        networks = docker.must("network", "ls", mine, "--format={{.Name}}").split()
        if left:
            docker.must("rm", "--force", "--volumes", *left)
        if networks:
            docker.must("network", "rm", *networks)
        return bool(left or networks)


def listens(address: str | tuple[str, int]) -> bool:
    """Whether somebody accepts connections there."""
    if isinstance(address, tuple):
        return service.answers(*address)
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(address)
        except OSError:
            return False
    return True


def harmless(options: Iterable[str]) -> list[str]:
    """A container's options without its network, and with its files for reading only."""
    return [_for_reading(option) for option in options if not option.startswith("--network=")]


def _for_reading(option: str) -> str:
    if not option.startswith("--volume="):
        return option
    source, place, *how = option.split(":")
    modes = [mode for mode in ",".join(how).split(",") if mode not in ("", "rw", "ro")]
    return ":".join([source, place, ",".join([*modes, "ro"])])


def confined(memory: str, cpus: float, pids: int, volumes: Iterable[str]) -> list[str]:
    """The options of a container that may do no more than a release needs."""
    return [
        *(f"--memory={memory}", f"--cpus={cpus:g}", f"--pids-limit={pids}", "--cap-drop=ALL"),
        *("--security-opt=no-new-privileges", "--read-only", "--tmpfs=/tmp"),
        *(f"--volume={volume}" for volume in volumes),
    ]
