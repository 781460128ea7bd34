# SPDX-License-Identifier: GPL-3.0-or-later
"""A long-lived background process without a supervisor: what is wanted, what is recorded, what ``/proc`` says."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

STATE_VERSION = 1


@dataclass(frozen=True)
class Spec:
    """What is to run. ``{host}`` and ``{port}`` in ``argv`` and in ``env``'s values become the private address.

    ``release`` stands for the files that the command reads: where they are others, it is started anew.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    release: str = ""

    def at(self, host: str, port: int) -> Spec:
        """The same with the placeholders filled in; other braces stay as they are."""

        def fill(text: str) -> str:
            return text.replace("{host}", host).replace("{port}", str(port))

        return replace(
            self,
            argv=[fill(argument) for argument in self.argv],
            env={name: fill(value) for name, value in self.env.items()},
        )

    def digest(self, salt: str) -> str:
        """Keyed digest: the record holds it in place of the environment, whose secrets it does not give away."""
        text = json.dumps([list(self.argv), dict(self.env), self.cwd, self.release], sort_keys=True)
        return hmac.new(bytes.fromhex(salt), text.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Process:
    """A process that can't be mistaken for a later one with the same number: ``started`` is from ``/proc``."""

    pid: int
    started: str
    port: int


@dataclass(frozen=True)
class State:
    """What one service's state file holds. Replacing the file is the switch: the relay reads ``app.port`` from it.

    ``spare`` are processes that do not serve and have to go: a candidate that is being tried, a release being drained.
    """

    salt: str = ""
    digest: str = ""
    address: str = ""
    app: Process | None = None
    relay: Process | None = None
    spare: tuple[Process, ...] = ()

    def dump(self) -> str:
        return json.dumps({"version": STATE_VERSION, **asdict(self)}, indent=1) + "\n"

    @classmethod
    def load(cls, text: str, path: str) -> State:
        """Parse a state file; SlipwayError, which names ``path``, when it is not one."""

        def process(value: Any) -> Process | None:
            return Process(**value) if value else None

        try:
            data = json.loads(text)
            if data.pop("version") != STATE_VERSION:
                raise ValueError("another version")
            # An earlier Slipway called the relay the door.
            app, relay = process(data.pop("app")), process(data.pop("relay" if "relay" in data else "door"))
            return cls(
                **{**data, "app": app, "relay": relay, "spare": tuple(Process(**item) for item in data["spare"])}
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SlipwayError(
                f"{path} is not a record of a running service ({error}): stop what it started and remove the file."
            ) from error


def address_of(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def start_time(stat: str, boot_id: str) -> str | None:
    """When a process started, from ``/proc/PID/stat``, as a value that no other process has with the same PID.

    None for a zombie: it is dead, but nobody has asked how it died.
    """
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything, blanks and brackets too
    return None if fields[0] in "ZX" else f"{boot_id.strip()}/{fields[19]}"


LISTEN, ESTABLISHED = "0A", "01"


def sockets(table: str) -> Iterator[tuple[int, str, int, str]]:
    """Rows of ``/proc/net/tcp`` or ``tcp6``: local port, state, bytes or connections waiting to be read, inode."""
    for line in table.splitlines()[1:]:
        fields = line.split()
        yield int(fields[1].rpartition(":")[2], 16), fields[3], int(fields[4].rpartition(":")[2], 16), fields[9]


def open_connections(table: str, port: int) -> int:
    """Connections to ``port`` that are open, or wait to be accepted, in a ``/proc/net/tcp``."""
    rows = [row for row in sockets(table) if row[0] == port]
    waiting = sum(queued for _port, state, queued, _inode in rows if state == LISTEN)
    return waiting + sum(state == ESTABLISHED for _port, state, _queued, _inode in rows)


def listener_inodes(table: str, port: int) -> set[str]:
    """Inodes of the sockets that listen on ``port``."""
    return {inode for number, state, _queued, inode in sockets(table) if number == port and state == LISTEN}
