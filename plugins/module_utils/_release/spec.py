# SPDX-License-Identifier: GPL-3.0-or-later
"""A short name for what a thing is made from, which may hold secrets."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest(value: Any) -> str:
    """Twelve hexadecimal digits of a value that JSON can express; a slow digest, about 50 ms of work.

    It becomes visible as a name, and a password in the value must not be found by trying.
    """
    text = json.dumps(value, sort_keys=True).encode()
    return hashlib.scrypt(text, salt=b"slipway spec 1", n=2**14, r=8, p=1, dklen=6).hex()
