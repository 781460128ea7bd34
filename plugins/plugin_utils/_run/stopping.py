# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a run that is told to stop end when its module has ended, and not before."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def stopped_with(module: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call a module from an action plugin. A signal to the worker goes on to the module, whose end is waited for.

    Ansible's worker would end at once, and with it the run, while the module still is about to end. Since nobody reads
    the result of a run that was interrupted, what the module said is written to where the run writes its errors.
    """
    if os.getpgrp() != os.getpid():  # no worker with a process group of its own
        return module()
    parent = os.getppid()
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:  # what follows is this one come back, or the one that Ansible sends to who is not quick
            os.killpg(0, number)

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    said = ""
    try:
        result = module()
        said = str(result.get("msg", ""))
    finally:
        if received[:1] == [signal.SIGINT] or (received and os.getppid() != parent):
            if os.getppid() == parent and said:
                with contextlib.suppress(OSError), open(f"/proc/{parent}/fd/2", "w", encoding="utf-8") as errors:
                    errors.write(f"{said}\n")
            os._exit(1)  # as Ansible's worker does
        for number, handler in before.items():
            signal.signal(number, handler)
    return result


@contextlib.contextmanager
def without_signals() -> Iterator[None]:
    """Give the signals that ``stopped_with`` passes on to no thread that is started in a ``with`` block.

    The kernel gives a process's signal to any thread that takes it (signal(7)), and Python runs its handler in the main
    thread alone, whose waiting goes on as if nothing had come where it was another one that took it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
