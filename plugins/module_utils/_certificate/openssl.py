# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls the host's ``openssl``, for what Python's own library has no function."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-batch")  # of ``openssl req``


def call(*words: str, purpose: str, given: str = "") -> str:
    """What it prints; '' where it finds fault with what it was ``given`` on its standard input.

    Raises SlipwayError, with the ``purpose`` such as "tells until when a certificate is valid", where there is none.
    """
    return _run(words, purpose, given=given).stdout


def make(home: Path, *words: str, purpose: str) -> None:
    """Have it make files in a directory. Raises SlipwayError where it can't, or where there is none."""
    done = _run(words, purpose, home)
    if done.returncode:
        raise SlipwayError(f"openssl can't make a key in {home}: {' '.join(done.stderr.split())}; correct that.")


def _run(
    words: tuple[str, ...], purpose: str, home: Path | None = None, given: str = ""
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["openssl", *words], cwd=home, input=given, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "PATH": PATH},
        )  # fmt: skip
    except FileNotFoundError as error:
        raise SlipwayError(f"There is no openssl on the host, which {purpose}: install the package openssl.") from error
