# SPDX-License-Identifier: GPL-3.0-or-later
"""Small things done on the host: wait to a deadline, read and replace a file, ask a URL."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable

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


def replace_file(path: str, text: str, mode: int = 0o600) -> None:
    """Write beside ``path``, to the disk, and rename: whoever reads, and after a crash too, it is the old or the new."""
    partial = f"{path}.partial"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def trouble(url: str, header: str = "", value: str = "") -> str:
    """Ask ``url``, past any proxy: nothing when it answers 2xx and ``header`` says ``value``, else what is wrong."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=5) as answer:
            found = answer.headers.get(header) if header else None
    except urllib.error.HTTPError as error:
        return f"{url} answers {error.code}"
    except (OSError, ValueError) as error:
        return f"{url} gives no answer ({getattr(error, 'reason', error)})"
    return f"{url} answers with {header} {found!r} instead of {value!r}" if value and found != value else ""
