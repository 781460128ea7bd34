# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the logs of several hosts in the order of their times: a program of the controller's, which has the terminal.

``python interleave.py SPEC`` with ``hosts`` (each a name and the command that runs Python there), ``sources`` by host,
``follow``, ``lines``, ``since``, ``output`` and ``secrets_file`` as JSON. What it reads of secrets it masks.
"""

from __future__ import annotations

import contextlib
import datetime
import heapq
import importlib.util
import itertools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__)
PROGRAM = HERE.parents[2] / "module_utils" / "_host" / "logs.py"
MASKING = HERE.parents[2] / "module_utils" / "_host" / "masking.py"
# What runs on a host: the length of the program, and the program; its input stays open for as long as somebody reads.
RECEIVE = "import sys; exec(compile(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())), 'slipway', 'exec'))"
COLOURS = {"backend": "36", "nginx": "32", "entry": "34", "database": "35"}
_LATE = 0.6  # seconds in which what comes late is still put in its place
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


def load_masking() -> Any:
    """The module that knows secrets, from its file: this program runs outside of Ansible."""
    spec = importlib.util.spec_from_file_location("masking", MASKING)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["masking"] = module
    spec.loader.exec_module(module)
    return module


def sent(file: Path, spec: Mapping[str, Any]) -> bytes:
    """What ``RECEIVE`` takes on a host: a program whose ``main`` gets the ``spec``, headed by its length."""
    text = f"{file.read_text(encoding='utf-8')}\nmain(__import__('json').loads({json.dumps(spec)!r}))\n".encode()
    return b"%d\n" % len(text) + text


def program(spec: Mapping[str, Any], sources: Iterable[Mapping[str, str]]) -> bytes:
    """What is sent to a host, headed by its length."""
    told = {"follow": spec["follow"], "lines": spec["lines"], "since": spec["since"], "sources": list(sources)}
    return sent(PROGRAM, told)


def shown(line: Mapping[str, Any], width: int, *, colour: bool, hosts: bool) -> str:
    """A line of a log as a person reads it: when, from what, and the text without what would steer the terminal."""
    when = datetime.datetime.fromtimestamp(line["time"]).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    where = f"{line['host']} {line['source']}" if hosts else str(line["source"])
    text = "".join(each if each.isprintable() or each == "\t" else "\N{REPLACEMENT CHARACTER}" for each in line["text"])
    head = f"{when} {where.ljust(width)}"
    return f"\x1b[{COLOURS.get(line['source'], '33')}m{head}\x1b[0m  {text}" if colour else f"{head}  {text}"


def stamped(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line for a program, with its time in ISO 8601 (UTC)."""
    when = datetime.datetime.fromtimestamp(line["time"], datetime.UTC).isoformat(timespec="milliseconds")
    return {"time": when, **{name: line[name] for name in ("host", "source", "text")}}


class Reader:
    """The streams of all hosts in one queue, each message with the host that it came from."""

    def __init__(self, spec: Mapping[str, Any], secrets: Iterable[str]) -> None:
        self.spec = spec
        self.masking = load_masking()
        self.secrets = frozenset(secrets)
        self.messages: queue.Queue[tuple[str, dict[str, Any] | None]] = queue.Queue()
        self.children: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        for host in self.spec["hosts"]:
            child = subprocess.Popen(
                host["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            self.children.append(child)
            threading.Thread(target=self._read, args=(host, child), daemon=True).start()

    def _read(self, host: Mapping[str, Any], child: subprocess.Popen[bytes]) -> None:
        assert child.stdin
        assert child.stdout
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(program(self.spec, host["sources"]))
            child.stdin.flush()
        for line in child.stdout:
            self.messages.put((host["host"], json.loads(line)))
        child.wait()
        self.messages.put((host["host"], None))

    def take(self, timeout: float | None) -> dict[str, Any] | None:
        """The next line; None when a host has ended. Raises queue.Empty when none comes in time."""
        while True:
            host, message = self.messages.get(timeout=timeout)
            if message is None:
                return None
            if "environment" in message:
                self.secrets |= self.masking.of_environment(message["environment"])
                continue
            text = self.masking.masked(_ESCAPE.sub("", message["text"]), self.secrets)
            return {**message, "host": host, "text": text}

    def end(self) -> int:
        """End what still runs, and give the first exit status that is none of success."""
        statuses = []
        for child in self.children:
            if child.stdin:
                with contextlib.suppress(OSError):
                    child.stdin.close()
            try:
                statuses.append(child.wait(2))
            except subprocess.TimeoutExpired:
                child.kill()
        return next((status for status in statuses if status), 0)


def collect(reader: Reader, lines: int) -> list[dict[str, Any]]:
    """The last lines of all hosts, in the order of their times."""
    found: list[dict[str, Any]] = []
    left = len(reader.children)
    while left:
        line = reader.take(None)
        if line is None:
            left -= 1
        else:
            found.append(line)
    found.sort(key=lambda each: float(each["time"]))
    return found[-lines:] if lines else []


def follow(reader: Reader, show: Any) -> None:
    """Show lines as they come; one that comes late by less than ``_LATE`` seconds is still put in its place."""
    waiting: list[tuple[float, int, float, dict[str, Any]]] = []
    numbers = itertools.count()
    left = len(reader.children)
    while left or waiting:
        try:
            line = reader.take(0.1)
            if line is None:
                left -= 1
            else:
                heapq.heappush(waiting, (line["time"], next(numbers), time.monotonic(), line))
        except queue.Empty:
            pass
        while waiting and (not left or time.monotonic() - waiting[0][2] >= _LATE):
            show(heapq.heappop(waiting)[3])


def main(spec: Mapping[str, Any]) -> int:
    secrets: set[str] = set()
    with contextlib.suppress(OSError, ValueError):
        secrets |= set(json.loads(Path(spec["secrets_file"]).read_text(encoding="utf-8")).values())
    reader = Reader(spec, secrets)
    several = len(spec["hosts"]) > 1
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    names = [
        f"{host['host']} {source['name']}" if several else source["name"]
        for host in spec["hosts"]
        for source in host["sources"]
    ]
    width = max(map(len, names), default=0)

    def show(line: Mapping[str, Any]) -> None:
        print(shown(line, width, colour=colour, hosts=several), flush=True)

    reader.start()
    try:
        if spec["follow"]:
            follow(reader, show)
        else:
            found = collect(reader, spec["lines"])
            if spec["output"] == "json":
                print(json.dumps([stamped(line) for line in found], indent=2, ensure_ascii=False))
            else:
                for line in found:
                    show(line)
    except KeyboardInterrupt:  # the way to end it
        pass
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return reader.end()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell in the background has ignored
    sys.exit(main(json.loads(sys.argv[1])))
