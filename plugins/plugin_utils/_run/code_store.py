# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled code, by what it was compiled from, in a file to which the processes of several runs append.

Each entry is appended by one write, and is a size (4 bytes), a checksum (4), the key (32) and the marshalled code. What
is not whole is not read: nobody has read beyond it, and the next run starts the file afresh.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import time
import zlib
from pathlib import Path
from types import CodeType

HEAD = 40  # bytes
WITHIN = 0.1  # seconds in which an entry that is being written is whole
LARGEST = 32 << 20  # bytes, of which the templates of a version take one or two


class CodeStore:
    """What is in the file, and what this process has added; ``path`` is in a directory of this user's alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._codes: dict[bytes, bytes | CodeType] = {}

    def open(self) -> None:
        """Read the file; start afresh where it is too large, or where something in it is not whole. Raises OSError."""
        deadline = time.monotonic() + WITHIN
        while (left := self.refresh()) and time.monotonic() < deadline:
            time.sleep(WITHIN / 10)  # it may be being written
        if left or self._read > LARGEST:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._read = 0

    def refresh(self) -> int:
        """Read what other processes have added, as those that this one started; how many bytes are of no whole entry.

        Raises OSError.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except FileNotFoundError:
            return 0
        at = 0
        while len(data) >= at + HEAD:
            size, checksum = (int.from_bytes(data[at + place : at + place + 4], "big") for place in (0, 4))
            entry = data[at + 8 : at + HEAD + size]
            if len(entry) < HEAD - 8 + size or zlib.crc32(entry) != checksum:
                break
            self._codes.setdefault(entry[:32], entry[32:])
            at += HEAD + size
        self._read += at
        return len(data) - at

    def get(self, key: bytes) -> CodeType | None:
        """The code of a ``key`` of 32 bytes, if there is any."""
        found = self._codes.get(key)
        if isinstance(found, bytes):
            self._codes[key] = found = marshal.loads(found)
        return found

    def put(self, key: bytes, code: CodeType) -> None:
        """Keep it. Raises OSError where it can't be written; then it is kept for this process."""
        self._codes[key] = code
        entry = key + marshal.dumps(code)
        head = (len(entry) - 32).to_bytes(4, "big") + zlib.crc32(entry).to_bytes(4, "big")
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, head + entry)
        finally:
            os.close(file)
