# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long step has come, written to a file by the module that does it, for the controller to look into.

The file is one JSON object on one line, such as ``{"step": "dumping", "done": 1000, "total": 5000, "unit": "B",
"seconds": 2}``, and goes with the module. ``total`` is 0 where it is not known, ``unit`` is ``B`` for bytes or a noun,
``seconds`` is how long the step has taken by now. Where nobody has asked for a file, nothing is written.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

VARIABLE = "SLIPWAY_PROGRESS"  # names the file, in the environment of a module
EVERY = 0.4  # seconds between two notes, and between two measurements
_SIZE = 1024  # bytes, all of them written at once, so that no half of a note is read


@dataclass
class _File:
    descriptor: int
    path: str
    step: str = ""
    began: float = 0.0
    written: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


_file: _File | None = None
_quiet = threading.local()  # whether a thread tells nothing


@contextlib.contextmanager
def written_to(path: str) -> Iterator[None]:
    """Write what is told to a new file (0600) of this path for a ``with`` block; with '' to none.

    A file that can't be made costs the progress and nothing else.
    """
    global _file
    descriptor = -1
    if path:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    if descriptor < 0:
        yield
        return
    _file = _File(descriptor, path)
    try:
        yield
    finally:
        _file = None
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)


def tell(step: str, done: float = 0, total: float = 0, unit: str = "") -> None:
    """Note how far ``step``, such as ``dumping``, has come; of many notes in a short time one is written."""
    file = _file
    if file is None or getattr(_quiet, "on", False):
        return
    with file.lock:
        now = time.monotonic()
        if step != file.step:
            file.step, file.began = step, now
        elif now - file.written < EVERY:
            return
        file.written = now
        note = {"step": step, "done": int(done), "total": int(total), "unit": unit, "seconds": now - file.began}
        with contextlib.suppress(OSError):
            os.pwrite(file.descriptor, json.dumps(note).encode()[: _SIZE - 1].ljust(_SIZE - 1) + b"\n", 0)


@contextlib.contextmanager
def untold() -> Iterator[None]:
    """Tell nothing of what this thread does, for a ``with`` block."""
    _quiet.on = True
    try:
        yield
    finally:
        _quiet.on = False


@contextlib.contextmanager
def measured(step: str, measure: Callable[[], float], total: float = 0, unit: str = "B") -> Iterator[None]:
    """Tell, while a ``with`` block waits for another process, what ``measure`` finds; called in a thread of its own.

    What it raises ends the measuring, and nothing else.
    """
    if _file is None:
        yield
        return
    ended = threading.Event()
    tell(step, 0, total, unit)

    def look() -> None:
        with contextlib.suppress(Exception):
            while not ended.wait(EVERY):
                done = measure()
                tell(step, done, total if done <= total else 0, unit)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
