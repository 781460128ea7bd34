# SPDX-License-Identifier: GPL-3.0-or-later
"""What the system refuses is told in words, with a next step."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain, sentence


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.EROFS, "Read-only file system: '/x'; its file system is mounted read-only: mount it writable"),
        (errno.ENOSPC, "No space left on device: '/x'; free some space there and run again."),
        (errno.EACCES, "Permission denied: '/x'; check that the directory exists and belongs to the user"),
        (errno.EIO, "Input/output error: '/x'; the disk fails: see dmesg"),
    ],
)
def test_sentence(number: int, message: str) -> None:
    assert sentence(OSError(number, os.strerror(number), "/x")).startswith(f"The system refused: {message}")


def test_what_has_no_number_or_is_ours() -> None:
    assert plain(OSError("no file system at all")) == "no file system at all"
    assert sentence(SlipwayError("Do this.")) == "Do this."
