# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether no run works on a host, known for as long as that is needed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._run.ledger import Ledger, Run
from ansible_collections.slipway.deploy.plugins.module_utils._run.process import is_dead, run_of


@contextlib.contextmanager
def idle(directory: Path, dead: Run | None = None) -> Iterator[tuple[bool, Run | None]]:
    """Whether no run works in this state directory, for a ``with`` block in which none begins; and who holds the lock.

    A holder that ran on this host and is gone does not count, nor ``dead``, which another host knows to be gone. A
    module that such a run left at work does: it holds the fence, as each module of a run does. Where there is no fence
    there never was a run, and where it can't be opened its runs are another user's.
    """
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(directory / "fence", os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which a run that begins waits for
        except OSError:
            yield False, None
            return
        holder = Ledger(directory).holder()
        here = run_of(os.getpid(), "", "", "")
        gone = holder is None or is_dead(holder, here) or (dead is not None and holder.same_process(dead))
        yield gone, holder
