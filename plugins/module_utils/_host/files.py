# SPDX-License-Identifier: GPL-3.0-or-later
"""Small things done on the host: wait to a deadline, read and replace a file, ask a URL."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message

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


def replace_file(path: str, text: str | bytes, mode: int = 0o600) -> None:
    """Write beside ``path``, sync, rename: a reader sees the old file or the new one, after a crash too."""
    partial = f"{path}.partial"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def ask(url: str, **headers: str) -> tuple[int, Message]:
    """Status and headers of the answer of ``url``, past any proxy; OSError or ValueError when there is none.

    In the names of ``headers`` an underscore stands for a hyphen.
    """
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with direct.open(urllib.request.Request(url, headers=sent), timeout=5) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers


def answers(url: str) -> bool:
    """Whether anything answers at ``url``, be it with an error."""
    try:
        ask(url)
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def trouble(url: str) -> str:
    """Ask ``url``, past any proxy: nothing when it answers 2xx, else what is wrong."""
    try:
        status, _headers = ask(url)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return no_answer(url, error)
    return "" if 200 <= status < 300 else f"{url} answers {status}"


def no_answer(url: str, error: Exception) -> str:
    """That nothing answers, and why."""
    return f"{url} gives no answer ({getattr(error, 'reason', error)})"
