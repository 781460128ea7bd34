# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams logs of containers and of files of a host as lines of JSON; it runs there by itself, without this collection.

A line is ``{"time": SECONDS, "source": NAME, "text": TEXT}``. Before the first of a source comes
``{"environment": {…}}``, that of its container or process, of which whoever reads it masks the secrets. It ends when
its standard input ends, so that nothing is left at work when the reader has gone.
"""

from __future__ import annotations

import contextlib
import datetime
import glob
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

# As PostgreSQL begins a line, and as many applications do.
_TIME = re.compile(r"\W?(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d+))? ?(UTC|GMT|Z|[+-]\d\d:?\d\d)?")
# As web servers write it in the line: the common log format, and Python's http.server.
_IN_LINE = re.compile(r"\[(\d\d/[A-Z][a-z]{2}/\d{4})[: ](\d\d:\d\d:\d\d)(?: ([+-]\d{4}))?\]")
_POLL = 0.25  # seconds between two looks at a file
_RENEWAL = 2.0  # seconds between two looks for containers
_BLOCK = 65536
_ZONES = {None: "", "UTC": "+0000", "GMT": "+0000", "Z": "+0000"}
_SITE = re.compile(r'^\{.*?"site": "([^"]*)"')  # as nginx writes of a request that several applications may get
_SHARED = 20  # of such a log so many times the lines are looked at
_BEFORE = 100  # lines in which the time of one without a time is looked for


def moment(text: str) -> float | None:
    """The time with which a line begins, or that a web server gives in it, in seconds since 1970; None without one.

    Without a zone it is local.
    """
    if found := _TIME.match(text):
        day, clock, fraction, zone = found.groups()
        offset, form = _ZONES.get(zone, (zone or "").replace(":", "")), "%Y-%m-%d"
    elif found := _IN_LINE.search(text):
        day, clock, offset = found.groups(default="")
        fraction, form = "", "%d/%b/%Y"
    else:
        return None
    try:
        whole = datetime.datetime.strptime(f"{day} {clock}{offset}", f"{form} %H:%M:%S{'%z' if offset else ''}")
    except ValueError:
        return None
    return whole.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)


def last_lines(path: str, most: int) -> list[str]:
    """The last lines of a file, without the rest of one that is being written."""
    with open(path, "rb") as file:
        position = file.seek(0, os.SEEK_END)
        data = b""
        while position > 0 and data.count(b"\n") <= most:
            step = min(_BLOCK, position)
            position = file.seek(position - step)
            data = file.read(step) + data
    whole = data.decode(errors="replace").split("\n")[:-1]
    return whole[-most:] if most else []


def is_about_another(text: str, site: str) -> bool:
    """Whether a line is about another site than this one; without a ``site`` none is."""
    found = _SITE.match(text)
    return bool(site and found and found[1] != site)


def timed(lines: Sequence[str], written: float) -> list[tuple[str, float]]:
    """Lines with their times. One that says none has that of the line before it; where none says any, ``written``."""
    at = next((found for found in map(moment, lines) if found is not None), written)
    result = []
    for text in lines:
        found = moment(text)
        at = at if found is None else found
        result.append((text, at))
    return result


def of_files(entries: Iterable[str], mounts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """``NAME=VALUE`` for each ``NAME_FILE=PATH`` of a container whose file is one of the host's.

    It mounts the file, or the directory that it lies in.
    """
    sources = {mount["Destination"]: mount["Source"] for mount in mounts}
    for entry in entries:
        name, _equals, path = entry.partition("=")
        directory, _slash, base = path.rpartition("/")
        source = sources.get(path) or (os.path.join(sources[directory], base) if directory in sources else "")
        if name.endswith("_FILE") and source:
            with contextlib.suppress(OSError), open(source, errors="replace") as opened:
                yield f"{name[: -len('_FILE')]}={opened.read().strip()}"


class Streams:
    """The sources of a host, each read in a thread of its own.

    A source has a ``name`` and is a ``file``, ``files`` of a pattern that are named NAME-DIGEST-NUMBER.log themselves,
    or the containers of a ``filter``, of which the label ``by`` is the name. With a ``site`` it is shared with
    other applications, and the lines about their sites are left out.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self.follow: bool = spec["follow"]
        self.lines: int = spec["lines"]
        self.since: float = spec["since"]
        self.sources: list[dict[str, str]] = spec["sources"]
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()

    def send(self, message: Mapping[str, Any]) -> None:
        with self._lock:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    def line(self, source: str, text: str, at: float) -> None:
        if at >= self.since:
            self.send({"time": at, "source": source, "text": text})

    def run(self) -> None:
        """Stream until all is read; with ``follow``, for ever."""
        threads: dict[str, threading.Thread] = {}
        while True:
            for source in self.sources:
                for key, work, arguments in self._parts(source):
                    if key not in threads:
                        threads[key] = threading.Thread(target=work, args=arguments, daemon=True)
                        threads[key].start()
            if not self.follow:
                break
            time.sleep(_RENEWAL)
        for thread in threads.values():
            thread.join()

    def end(self) -> None:
        for child in self._children:
            with contextlib.suppress(OSError):
                child.kill()

    def _parts(self, source: Mapping[str, str]) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
        if "file" in source:
            yield source["file"], self._file, (source["name"], source["file"], source.get("state", ""))
            return
        if "files" in source:
            for path in sorted(glob.glob(source["files"])):
                yield path, self._file, (os.path.basename(path).rsplit("-", 2)[0], path, "")
            return
        form = f'--format={{{{.ID}}}} {{{{.Label "{source["by"]}"}}}}' if "by" in source else "--format={{.ID}}"
        listing = ["docker", "ps", "--all", "--no-trunc", f"--filter={source['filter']}", form]
        done = subprocess.run(listing, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            sys.exit(f"The containers can't be listed: {done.stderr.strip()}")
        for line in done.stdout.splitlines():
            number, _blank, label = line.partition(" ")
            yield number, self._container, (label or source["name"], number, source.get("site", ""))

    def _container(self, name: str, number: str, site: str) -> None:
        form = '--format={"Env":{{json .Config.Env}},"Mounts":{{json .Mounts}}}'
        inspect = ["docker", "container", "inspect", form, number]
        given = subprocess.run(inspect, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL).stdout
        found = json.loads(given or "{}")
        entries = found.get("Env") or []
        self._environment([*entries, *of_files(entries, found.get("Mounts") or [])])
        tail = self.lines * (_SHARED if site else 1)
        command = ["docker", "logs", "--timestamps", f"--tail={tail}", *(["--follow"] if self.follow else [])]
        command += [f"--since={int(self.since)}"] if self.since else []
        child = subprocess.Popen(
            [*command, number], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._children.add(child)
        assert child.stdout
        for line in child.stdout:
            stamp, _blank, text = line.decode(errors="replace").rstrip("\r\n").partition(" ")
            if not is_about_another(text, site):
                self.line(name, text, moment(stamp) or time.time())
        child.wait()

    def _environment(self, entries: Iterable[str]) -> None:
        self.send({"environment": dict(entry.split("=", 1) for entry in entries if "=" in entry)})

    def _file(self, name: str, path: str, state: str) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            with open(state) as opened:
                pid = json.load(opened)["app"]["pid"]
            with open(f"/proc/{pid}/environ", errors="replace") as opened:
                self._environment(opened.read().split("\0"))
        if not os.path.exists(path) and not self.follow:
            return
        while not os.path.exists(path):
            time.sleep(_POLL)
        about, size = os.stat(path), os.path.getsize(path)
        found = timed(last_lines(path, self.lines + _BEFORE), about.st_mtime)
        for text, at in found[max(len(found) - self.lines, 0) :]:
            self.line(name, text, at)
        if self.follow:
            self._new_lines(name, path, about.st_ino, size)

    def _new_lines(self, name: str, path: str, inode: int, position: int) -> None:
        """What is written to a file from now on, also when another takes its place."""
        rest = ""
        while True:
            with contextlib.suppress(FileNotFoundError):
                about = os.stat(path)
                if about.st_ino != inode or about.st_size < position:
                    inode, position, rest = about.st_ino, 0, ""
                if about.st_size > position:
                    with open(path, "rb") as file:
                        file.seek(position)
                        data = file.read()
                    position += len(data)
                    *whole, rest = (rest + data.decode(errors="replace")).split("\n")
                    for text in whole:
                        self.line(name, text, moment(text) or time.time())
            time.sleep(_POLL)


def main(spec: Mapping[str, Any]) -> None:
    """Stream what ``spec`` names, until it is read, or until the standard input ends."""
    streams = Streams(spec)

    def end_with_reader() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                pass
        streams.end()
        os._exit(0)

    threading.Thread(target=end_with_reader, daemon=True).start()
    try:
        streams.run()
    except BrokenPipeError:
        streams.end()
        os._exit(0)
