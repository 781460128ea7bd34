# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a release apart from all others, on a copy of its database, and asks it.

A release that is tried reaches nothing but that copy: as a process it has a network and mounts of its own
(``trial_gate.py``), as a container an internal network. Where it looks for its database a relay (``copy_relay.py``)
waits, which leads to the copy whatever it asks for. So it runs as it does elsewhere, with its own environment. A
container that looks for it at an IP address has a network with that address in it, which is made before it starts.
Where the release may insist on TLS the relay has a certificate, and what signed it is put in the authority's place.

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
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import docker
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import read, replace_file, wait_until
from ansible_collections.slipway.deploy.plugins.module_utils._host.masking import masked, of_environment
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.server_certificate import Keeper, is_address
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
HELD_FOR = 3600  # seconds
AUTHORITY = "authority.pem"


@dataclass(frozen=True)
class Place:
    """Where a database is: in the directory of a Unix socket, or at a host; ``port`` goes with each.

    ``ssl_mode`` and ``authority`` are libpq's sslmode and sslrootcert: of the copy, for this host; of the place where a
    release looks, for that release, and empty where it does without TLS.
    """

    socket: str = ""
    host: str = ""
    port: int = 5432
    ssl_mode: str = ""
    authority: str = ""

    @property
    def listening(self) -> str | tuple[str, int]:
        return os.path.join(self.socket, SOCKET.format(port=self.port)) if self.socket else (self.host, self.port)


@dataclass(frozen=True)
class Trial:
    """One release that is tried. ``http`` is where it answers: the path of a socket, or host and port.

    ``app`` is the process, or what leads into the network of the container ``holder``, which ``container`` shares.
    """

    name: str
    database: str
    relay: Process | None = None
    app: Process | None = None
    container: str = ""
    holder: str = ""
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
        self._begin(name, database, spec.env)
        scratch, http_socket = self.path(name, "scratch"), self.path(name, "http")
        os.mkdir(scratch)
        listener = self._listener(name, sought)
        address = sought.host if is_address(sought.host) else trial_gate.LOOPBACK
        mounts = [[listener.socket, sought.socket]] if sought.socket else []
        if address != sought.host and sought.host not in ("", "localhost"):
            names = self.path(name, "hosts")
            replace_file(names, f"{trial_gate.LOOPBACK} localhost {sought.host}\n", 0o644)
            mounts.append([names, "/etc/hosts"])
        if sought.authority:
            mounts.append([self.path(name, AUTHORITY), sought.authority])
        told = {
            "argv": list(spec.argv), "directory": spec.cwd, "http": http_socket, "port": port, "mounts": mounts,
            "ports": [] if sought.socket else [[address, sought.port, listener.listening]],
            "trees": [{"layers": [*layers, spec.cwd], "place": spec.cwd, "scratch": scratch}],
        }  # fmt: skip
        argv = [sys.executable, "-I", self._program(trial_gate), json.dumps(told)]
        apart = Spec(argv, {**spec.env, **mark()}, spec.cwd)
        service.start(apart, port, self.path(name, "log"), lambda app: self._know(name, app=app, http=http_socket))

    def in_container(self, name: str, like: Container, port: int, database: str, sought: Place, holds: str) -> None:
        """Start a container like another one, in a network that leads nowhere but to the relay.

        A container of the image ``holds``, which has a command ``sleep``, holds the network that has an address in it.
        """
        if not sought.host:
            raise SlipwayError(f"its database is reached at {sought.socket}, which no container has")
        self._begin(name, database, like.environment)
        container = f"{self.label}-trial-{name}"
        self._know(name, container=container)
        if is_address(sought.host):
            network = self._network_with_address(name, sought, port, holds)
        else:
            network = self._network_with_name(name, sought)
        named = by_name(like.environment)
        options = harmless(like.options)
        if sought.authority:
            options = instead(options, self.path(name, AUTHORITY), sought.authority)
        command = [
            *("run", "--detach", "--init", "--no-healthcheck", f"--name={container}", f"--label={LABEL}={self.label}"),
            *(*network, *options, "--log-driver=json-file", "--log-opt=max-size=1m", "--env-file=/dev/stdin"),
            *(f"--env={each}" for each in sorted(named)),
            like.image,
        ]
        with tempfile.TemporaryFile() as variables:
            variables.write(environment_file(like.environment).encode(errors="surrogateescape"))
            variables.seek(0)
            status, output = docker.run(*command, stdin=variables, environment=named)
        if status:
            raise SlipwayError(f"its container can't be started: {' '.join(output.split())}")
        if not self.trials[name].http:
            template = f'--format={{{{(index .NetworkSettings.Networks "{container}").IPAddress}}}}'
            address = docker.must("container", "inspect", template, container).strip()
            self._know(name, http=(address, port))

    def _network_with_name(self, name: str, sought: Place) -> list[str]:
        """An internal network, in which the relay is where that name leads; the options of its container."""
        network = self.trials[name].container
        self._know(name, network=network)
        docker.must("network", "create", "--internal", f"--label={LABEL}={self.label}", network)
        gateway = docker.must("network", "inspect", "--format={{(index .IPAM.Config 0).Gateway}}", network).strip()
        self._relay(name, (gateway, sought.port), sought)
        return [f"--network={network}", f"--add-host={sought.host}:{gateway}"]

    def _network_with_address(self, name: str, sought: Place, port: int, holds: str) -> list[str]:
        """A network of nothing but that address, which leads to the relay; the options of its container."""
        holder = f"{self.trials[name].container}-network"
        self._know(name, holder=holder)
        listener, http_socket = self._listener(name, sought), self.path(name, "http")
        docker.must(
            "run", "--detach", "--init", f"--name={holder}", f"--label={LABEL}={self.label}", "--network=none",
            "--read-only", "--cap-drop=ALL", "--no-healthcheck", "--entrypoint=sleep", holds, str(HELD_FOR),
        )  # fmt: skip
        told = {
            "network_of": int(docker.must("container", "inspect", "--format={{.State.Pid}}", holder)),
            "http": http_socket, "port": port, "ports": [[sought.host, sought.port, listener.listening]],
        }  # fmt: skip
        argv = [sys.executable, "-I", self._program(trial_gate), json.dumps(told)]
        log = self.path(name, "log")
        service.start(Spec(argv, mark(), "/"), port, log, lambda app: self._know(name, app=app, http=http_socket))
        self._insist_on(self.trials[name].app, http_socket, log)
        return [f"--network=container:{holder}"]

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

    def _listener(self, name: str, sought: Place) -> Place:
        """A socket of the relay's, in a directory of its own."""
        run = self.path(name, "run")
        os.mkdir(run)
        listener = Place(run, port=sought.port)
        self._relay(name, listener.listening, sought)
        return listener

    def _relay(self, name: str, listen: str | tuple[str, int], sought: Place) -> None:
        told = {
            "listen": listen, "server": self.copy.listening, "database": self.trials[name].database,
            "errors": self.path(name, "errors"), "ssl_mode": self.copy.ssl_mode, "authority": self.copy.authority,
            "certificate": self._certificate(name, sought.host) if sought.ssl_mode else "",
        }  # fmt: skip
        argv = [sys.executable, "-I", self._program(copy_relay), json.dumps(told)]
        log = self.path(name, "relay.log")
        service.start(Spec(argv, mark(), "/"), 0, log, lambda found: self._know(name, relay=found))
        self._insist_on(self.trials[name].relay, listen, log)

    def _insist_on(self, leading: Process | None, listen: str | tuple[str, int], log: str) -> None:
        """SlipwayError, a clause, where nothing leads from there."""
        if not wait_until(lambda: not service.alive(leading) or listens(listen), 10) or not service.alive(leading):
            raise SlipwayError(f"nothing can listen where it looks for its database: {service.log_end(log, 0, 1)}")

    def _certificate(self, name: str, host: str) -> str:
        """The file with the relay's certificate for that host, and its key; what signed it is in a file beside."""
        directory = Path(self.path(name, "tls"))
        keeper = Keeper(directory, host)
        keeper.renew(["authority", "server"])
        replace_file(self.path(name, AUTHORITY), keeper.certificate().authority, 0o644)
        return str(directory / "server.pem")

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
            docker.run("rm", "--force", "--volumes", *filter(None, (trial.container, trial.holder)))
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


def instead(options: Iterable[str], file: str, place: str) -> list[str]:
    """A container's options with a file in a place, whatever was to be there."""
    others = [option for option in options if option.split(":")[1:2] != [place]]
    return [*others, f"--volume={file}:{place}:ro"]


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
