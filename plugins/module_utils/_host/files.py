# SPDX-License-Identifier: GPL-3.0-or-later
"""Small things done on the host: wait to a deadline, read and replace a file, ask a URL."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from email.message import Message

from ansible_collections.slipway.deploy.plugins.module_utils._host.https import To

POLL = 0.05


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until ``condition`` holds; False when it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL)
    return True


def read(path: str) -> str:
    """A file's text, or nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def replace_file(path: str, text: str | bytes, mode: int = 0o600, owner: int = -1) -> None:
    """Write beside ``path``, sync, rename: a reader sees the old file or the new one, after a crash too.

    ``owner`` is the uid that it is given to; -1 for this user's own.
    """
    partial = f"{path}.partial"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        os.fchown(file.fileno(), owner, -1)
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextlib.contextmanager
def alone_in(directory: str) -> Iterator[None]:
    """Keep others who do so out of a directory meanwhile; a process that dies lets go."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _NoFurther(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for the answer."""

    def redirect_request(self, *_arguments: object) -> None:
        return None


def ask(url: str, *handlers: urllib.request.BaseHandler, connect_to: str = "", **headers: str) -> tuple[int, Message]:
    """Status and headers of the answer of ``url``, past any proxy; OSError or ValueError when there is none.

    In the names of ``headers`` an underscore stands for a hyphen. ``connect_to`` is the ``ADDRESS:PORT`` at which the
    host of an https ``url`` is asked; empty for the one that its name leads to.
    """
    others = [*handlers, To(connect_to)] if connect_to else handlers
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), *others)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with direct.open(urllib.request.Request(url, headers=sent), timeout=5) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def answers(url: str) -> bool:
    """Whether anything answers at ``url``, be it with an error or a redirection."""
    try:
        ask(url, _NoFurther())
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def trouble(url: str, connect_to: str = "") -> str:
    """``ask``: nothing when ``url`` answers 2xx, else what is wrong."""
    try:
        status, _headers = ask(url, connect_to=connect_to)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return no_answer(url, error)
    return "" if 200 <= status < 300 else f"{url} answers {status}"


def no_answer(url: str, error: Exception) -> str:
    """That nothing answers, and why."""
    return f"{url} gives no answer ({getattr(error, 'reason', error)})"
