# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a module that is told to stop end at once, and in order: its statement is cancelled, its transaction undone.

Python runs no signal handler while libpq waits for the server. So a thread, woken by the signal itself, has the server
cancel the statement; what it says ends the wait, and ``Interrupted`` is raised then. It is raised once: what cleans up
after it is neither cancelled nor interrupted.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN = 0.2  # seconds after which a cancellation that came before its statement is sent anew
_NOT_SAID = "it is not known how far it came: run again"


class Interrupted(BaseException):
    """The module was told to stop. Whoever knows what that meant for the work says so in ``outcome``, a clause.

    Further facts for the task's result go into ``details``, a JSON-able dict.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.outcome = _NOT_SAID
        self.details: dict[str, object] = {}

    def __str__(self) -> str:
        return f"Interrupted {self.reason}: {self.outcome}."


class _Interruption:
    """What is known of the signal, and which connection's statement the main thread waits for."""

    def __init__(self) -> None:
        self.reason = ""
        self.raised = False
        self.waiting: Connection | None = None
        self.lock = threading.Lock()

    def notice(self, number: int) -> None:
        """Remember why, the first time."""
        self.reason = self.reason or f"by {signal.Signals(number).name}"

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler, in the main thread; during a statement its end is waited for."""
        self.notice(number)
        if self.waiting is None:
            self.deliver()

    def deliver(self) -> None:
        """Raise Interrupted, if that is due."""
        if self.reason and not self.raised:
            self.raised = True
            raise Interrupted(self.reason)

    def watch(self, woken: socket.socket) -> None:
        """The thread's work: wait for a signal, or for the end of whoever reads the result, and cancel."""
        poll = select.poll()
        poll.register(woken, select.POLLIN)
        with contextlib.suppress(OSError, ValueError):
            poll.register(sys.__stdout__.fileno() if sys.__stdout__ else -1, 0)  # tells that its other end is closed
        for descriptor, _ in poll.poll():
            if descriptor == woken.fileno():
                received = woken.recv(1)
                if not received or received == b"\0":
                    return  # the work has ended
                self.notice(received[0])
            else:
                self.reason = self.reason or "because nobody waits for its result any more"
                os.kill(os.getpid(), signal.SIGTERM)  # its handler is run as soon as the main thread can
        while not self.raised:
            with self.lock, contextlib.suppress(psycopg2.Error):
                if self.waiting is not None:
                    self.waiting.cancel()
            if select.select([woken], [], [], _AGAIN)[0] and woken.recv(1) in (b"", b"\0"):
                return


_current: _Interruption | None = None


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted within a ``with`` block of the main thread, at a signal or when nobody reads the output.

    A signal that is ignored, as under nohup, stays ignored.
    """
    global _current
    if threading.current_thread() is not threading.main_thread():  # which alone may have handlers of signals
        yield
        return
    interruption = _current = _Interruption()
    waking, woken = socket.socketpair()
    waking.setblocking(False)
    heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interruption.handle) for number in heard}
    former = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=interruption.watch, args=(woken,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        _current = None
        signal.set_wakeup_fd(former)
        for number, handler in before.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError):
            waking.send(b"\0")
        thread.join()
        waking.close()
        woken.close()


@contextlib.contextmanager
def statement(connection: Connection) -> Iterator[None]:
    """Surround the sending of a statement: it is cancelled by an interruption, which is raised when it has ended."""
    interruption = _current
    if interruption is None or interruption.raised or threading.current_thread() is not threading.main_thread():
        yield
        return
    interruption.waiting = connection
    try:
        interruption.deliver()
        yield
    finally:
        with interruption.lock:
            interruption.waiting = None
        interruption.deliver()
