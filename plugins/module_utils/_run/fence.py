# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time acts on a host: its modules hold a lock there, and the next run ends what an earlier one left.

A module of a run whose controller was killed lives on, and nobody's word can stop it but the kernel's: it holds a
flock(2) on the file ``fence`` in the state directory for as long as it works, and no run takes over before it has that
flock for itself. The file holds the number of the run in charge, which only grows, so that a module which begins late
finds out that its run is over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

# In the environment of every module of a run, and of what it starts: "NUMBER DIRECTORY".
VARIABLE = "SLIPWAY_FENCE"
_ASSIGNED = f"{VARIABLE}=".encode()
GRACE = 10.0  # seconds to stop in an orderly way
LIMIT = 30.0  # seconds until an orphan must have ended
_POLL = 0.05
_WIDTH = 20  # digits of the number, so that writing it anew changes bytes in place


@dataclass(frozen=True)
class Fence:
    """The file of one state directory, and the number of a run."""

    directory: Path
    number: int

    @classmethod
    def parse(cls, text: str) -> Fence | None:
        """What ``VARIABLE`` says; None where it says nothing, as outside of a run."""
        number, _, directory = text.partition(" ")
        return cls(Path(directory), int(number)) if number.isdigit() and directory else None

    @property
    def file(self) -> Path:
        return self.directory / "fence"

    def check(self) -> None:
        """Raise SlipwayError unless this run is the one in charge."""
        current = in_charge(self.directory)
        if current != self.number:
            why = f"run {current} has taken over" if current else f"{self.file} is missing"
            raise SlipwayError(
                f"Run {self.number} is not in charge of {self.directory} any more, because {why}: nothing more is "
                "done; see deployments.jsonl for what other runs did."
            )

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Act for this run within a ``with`` block, or raise SlipwayError when it is not in charge."""
        try:
            descriptor = os.open(self.file, os.O_RDONLY)
        except OSError as error:
            self.check()
            raise SlipwayError(
                f"{self.file} can't be read ({error}): run every task as the user that took the lock."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # a run that takes over keeps it for a moment only
            self.check()
            yield
        finally:
            os.close(descriptor)

    def take_over(self) -> list[str]:
        """Put this run in charge, when every module of an earlier one has ended. What had to be ended, in sentences.

        Raises SlipwayError when a later run is in charge, or an orphan does not end within ``LIMIT`` seconds.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            ended = self._alone(descriptor)
            current = in_charge(self.directory)
            if current > self.number:
                raise SlipwayError(
                    f"Run {self.number} can't act on {self.directory}, where run {current} is in charge: see that no "
                    f"other run works, and if none does, delete {self.file} and run again."
                )
            os.pwrite(descriptor, f"{self.number:0{_WIDTH}}\n".encode(), 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return ended

    def _alone(self, descriptor: int) -> list[str]:
        """Get the flock for this process alone, and end whatever acts for an earlier run."""
        began, ended = time.monotonic(), dict[int, str]()
        while True:
            left = acting(self.directory, self.number)
            waited = time.monotonic() - began
            for pid, name in left.items():
                with contextlib.suppress(ProcessLookupError, PermissionError):  # not ours to end: it is waited for
                    if waited > GRACE:
                        os.kill(pid, signal.SIGKILL)
                    elif pid not in ended:
                        os.kill(pid, signal.SIGTERM)
                        os.kill(pid, signal.SIGCONT)  # where it was stopped, it could not end
                ended.setdefault(pid, name)
            if not left:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return [f"Ended process {pid}, which an earlier run left at work: {ended[pid]}." for pid in ended]
            if waited > LIMIT:
                found = {**{pid: describe(Path(f"/proc/{pid}")) for pid in holders(descriptor)}, **left}
                raise SlipwayError(
                    f"An earlier run is still at work on {self.directory} and did not end within {LIMIT:g} s: "
                    + (", ".join(f"process {pid} ({name})" for pid, name in found.items()) or "its process is unknown")
                    + "; end it there and run again."
                )
            time.sleep(_POLL)


def in_charge(directory: Path) -> int:
    """The number of the run in charge; 0 where there never was one."""
    try:
        return int((directory / "fence").read_text() or 0)
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise SlipwayError(
            f"{directory}/fence can't be read ({error}): see that no run works, delete it and run again."
        ) from error


def next_number(directory: Path) -> int:
    """A number above all before it: the time in ms, so that it also grows on a host that was made anew."""
    return max(in_charge(directory) + 1, int(time.time() * 1000))


def acting(directory: Path, number: int) -> dict[int, str]:
    """Processes of this host that act for a run before ``number``, by pid, each with what it is."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):  # it has ended, or is another user's
            words = [word for word in (entry / "environ").read_bytes().split(b"\0") if word.startswith(_ASSIGNED)]
            fence = Fence.parse(os.fsdecode(words[-1][len(_ASSIGNED) :])) if words else None
            if fence and fence.number < number and fence.directory.resolve() == directory.resolve():
                found[int(entry.name)] = describe(entry)
    return found


def describe(entry: Path) -> str:
    """The program of a process, given its directory of proc(5), without the arguments."""
    words = (entry / "cmdline").read_bytes().split(b"\0")
    return os.path.basename(words[0].decode(errors="replace"))


def holders(descriptor: int) -> list[int]:
    """Processes that hold a flock on an open file, as far as this one may know (proc_locks(5))."""
    about = os.fstat(descriptor)
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    rows = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return [int(row[4]) for row in rows if row[1] == "FLOCK" and row[5] == place and int(row[4]) > 0]


@contextlib.contextmanager
def fenced(exempt: bool = False) -> Iterator[None]:
    """Let a module act only while its run is in charge; outside of a run, or ``exempt``, there is nothing to see to."""
    fence = None if exempt else own()
    with fence.held() if fence else contextlib.nullcontext():
        yield


def own() -> Fence | None:
    """The run for which this process acts, or None."""
    return Fence.parse(os.environ.get(VARIABLE, ""))


def insist() -> None:
    """Raise SlipwayError unless the run of this process is still in charge: said before a step that can't be undone."""
    fence = own()
    if fence:
        fence.check()


def mark() -> dict[str, str]:
    """The variable, for a command that gets an environment of its own but ends with the run."""
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}


def unmarked() -> dict[str, str]:
    """This process's environment for a server that outlives the run."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}
