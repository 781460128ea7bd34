# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type that the core raises and that modules turn into a failed task."""

from __future__ import annotations

import errno
import re

# What to do about an error of the operating system, by its number.
_ADVICE = {
    errno.ENOSPC: "free some space there and run again",
    errno.EDQUOT: "free some space there, or raise the user's quota, and run again",
    errno.EROFS: "its file system is mounted read-only: mount it writable (after an error of the disk see dmesg), or "
    "name another directory",
    errno.EIO: "the disk fails: see dmesg, and bring the data to a sound one",
    errno.EMFILE: "raise the limit of open files and run again",
    errno.ENFILE: "raise the limit of open files and run again",
    errno.ENOMEM: "free some memory and run again",
}
_OTHERWISE = "check that the directory exists and belongs to the user that the task runs as"


class SlipwayError(Exception):
    """Something the operator can act on: one sentence with what happened, the value, and what to do next.

    Further facts for the task's result (a plan, a list of findings) go into ``details``, a JSON-able dict.
    """

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.details = details


def plain(error: OSError) -> str:
    """An error of the operating system in words, without its number: ``No such file or directory: '/x'``."""
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error))


def advice(error: OSError) -> str:
    """What to do about it."""
    return _ADVICE.get(error.errno or 0, _OTHERWISE)


def sentence(error: SlipwayError | OSError) -> str:
    """An error as the operator reads it."""
    return str(error) if isinstance(error, SlipwayError) else f"The system refused: {plain(error)}; {advice(error)}."
