# SPDX-License-Identifier: GPL-3.0-or-later
"""Do one thing while another one is done, on the second processor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ansible_collections.slipway.deploy.plugins.module_utils._run import progress

T = TypeVar("T")


@contextlib.contextmanager
def beside(work: Callable[[], T], stop: Callable[[], object]) -> Iterator[Future[T]]:
    """Do ``work`` in a thread during a ``with`` block, whose end waits for it; its result is then the future's.

    What the block raises calls ``stop``, which is to end the work soon, and counts more than what the work raises then;
    a failure of the work that came before it counts more than a failure of the block. What the work raises is raised
    where the result is asked for, and at the end of the block. Of the two the block's progress is the one that is told.
    """

    def quietly() -> T:
        with progress.untold():
            return work()

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(quietly)
        try:
            yield future
        except BaseException as error:
            first = future.exception(0) if future.done() else None
            stop()
            raise (first if first and isinstance(error, Exception) else error) from None
    future.result()
