# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers, sizes and lists as a person reads them."""

from __future__ import annotations

import math


def listed(phrases: list[str], most: int = 5) -> str:
    """The first phrases, and how many more there are."""
    more = len(phrases) - most
    return "; ".join(phrases[:most]) + (f"; and {more} more" if more > 0 else "")


def human(size: float) -> str:
    """Bytes as a person would say them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def counted(number: int, noun: str) -> str:
    """``1 row``, ``1,234 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as a person would say them: ``0.4 s``, ``45 s``, ``12 min``, ``3.5 h``, ``20 days``."""
    units = (("s", 1, 100), ("min", 60, 100), ("h", 3_600, 48), ("days", 86_400, math.inf))
    value, unit = next((seconds / size, unit) for unit, size, limit in units if seconds / size < limit)
    return f"{value:,.{0 if value >= 10 else 1}f} {unit}"
