# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs Ansible for the tests of building and swapping releases, and puts a bounded load on a loopback address."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LONGEST_RUN = 600  # seconds; many times what a run takes, for a busy machine
# The release that the tests deploy: answers each GET with its RELEASE; CRASH ends it at once, BROKEN has it answer 503.
APP = ROOT / "tests" / "integration" / "roles" / "release_app"


def ansible(home: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs on the local host."""
    started = ansible_started(home, program, *arguments)
    output, errors = started.communicate(timeout=LONGEST_RUN)
    return subprocess.CompletedProcess(started.args, started.returncode, output, errors)


def ansible_started(home: Path, program: str, *arguments: str) -> subprocess.Popen[str]:
    """Begin what ``ansible`` waits for."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANSIBLE_HOME": str(ROOT / ".cache" / "ansible"),  # for what one run has packed, and the next can use
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def images() -> dict[str, str]:
    """The base images that the environment names, else the stand-ins."""
    names = ("SLIPWAY_PYTHON_IMAGE", "SLIPWAY_NGINX_IMAGE")
    if all(name in os.environ for name in names):
        return {name: os.environ[name] for name in names}
    made = subprocess.run(
        [ROOT / "tests" / "images" / "build", "nginx:1", "python:3-slim"], capture_output=True, text=True, check=False
    )
    assert not made.returncode, made.stderr
    return dict(re.findall(r"^export (\w+)=(.*)$", made.stdout, re.MULTILINE))


@dataclass(frozen=True)
class Module:
    """One module on the local host, through its action plugin if it has one."""

    name: str
    home: Path

    def __call__(self, *flags: str, **options: object) -> dict[str, Any]:
        done = ansible(
            self.home, "ansible", "localhost", "--connection", "local",
            "--module-name", f"slipway.deploy.{self.name}", "--args", json.dumps(options),
            "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}), *flags,
        )  # fmt: skip
        assert " => {" in done.stdout, done.stdout + done.stderr
        _, _, result = done.stdout.partition(" => {")
        found: dict[str, Any] = json.loads("{" + result[: result.rindex("}") + 1])
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str = "/healthz", **headers: str) -> tuple[int, str, str]:
    """Status, X-Release and body of one request to the loopback interface."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers.get("X-Release", ""), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("X-Release", ""), error.read().decode()


@dataclass(frozen=True)
class Asked:
    """One request: when it began and ended, in seconds since the epoch, who answered it, and what failed, if it did."""

    began: float
    ended: float
    release: str = ""
    failure: str = ""


@dataclass
class Load:
    """What came of the requests, and when kept connections, closed between two answers, were opened anew."""

    asked: list[Asked] = field(default_factory=list)
    reopened: list[float] = field(default_factory=list)

    @property
    def answers(self) -> Counter[str]:
        """How many answers of each release."""
        return Counter(each.release for each in self.asked if not each.failure)

    @property
    def failures(self) -> list[str]:
        """What failed of every request that did."""
        return [each.failure for each in self.asked if each.failure]


@contextmanager
def load(
    to: int | Callable[[], http.client.HTTPConnection], threads: int = 4, path: str = "/healthz", period: float = 0
) -> Iterator[Load]:
    """Ask for as long as the block lasts: half of the threads keep their connection, half do not.

    ``to`` is a port of the loopback interface, or makes a connection that is not open yet.

    Each thread asks again at once, or ``period`` seconds after it last did. A kept connection that the server has
    closed between two answers is opened anew, as every client does (RFC 9112, section 9.3.1).
    """
    found = Load()
    done = threading.Event()

    def ask(number: int) -> None:
        keep = number % 2 == 0
        connection = to() if callable(to) else http.client.HTTPConnection("127.0.0.1", to, timeout=10)
        fresh = True
        done.wait(period * number / threads)
        while not done.is_set():
            began = time.time()
            try:
                connection.request("GET", path, headers={} if keep else {"Connection": "close"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh or not isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
                    found.asked.append(Asked(began, time.time(), failure=repr(error)))
                    done.wait(began + period - time.time())
                else:
                    found.reopened.append(began)
                fresh = True
                continue
            failure = "" if answer.status == 200 else f"status {answer.status}"
            found.asked.append(Asked(began, time.time(), answer.headers.get("X-Release", ""), failure))
            fresh = not keep
            if not keep:
                connection.close()
            done.wait(max(0.01, began + period - time.time()))
        connection.close()

    workers = [threading.Thread(target=ask, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield found
    finally:
        done.set()
        for worker in workers:
            worker.join(timeout=15)
