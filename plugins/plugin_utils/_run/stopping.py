# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a run that is told to stop end when its module has ended, and not before."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
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
        if not received:  # else it is this one come back, or the one that Ansible sends after it to who is not quick
            received.append(number)
            os.killpg(0, number)

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    said = ""
    try:
        result = module()
        said = str(result.get("msg", ""))
    finally:
        if signal.SIGINT in received or (received and os.getppid() != parent):
            if os.getppid() == parent and said:
                with contextlib.suppress(OSError), open(f"/proc/{parent}/fd/2", "w", encoding="utf-8") as errors:
                    errors.write(f"{said}\n")
            os._exit(1)  # as Ansible's worker does
        for number, handler in before.items():
            signal.signal(number, handler)
    return result
