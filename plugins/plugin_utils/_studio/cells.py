# SPDX-License-Identifier: GPL-3.0-or-later
"""How a value of the database is shown: short in a list of rows, whole on the page of one."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from typing import Any

from markupsafe import Markup, escape

SHORT = 80  # characters of a cell
WHOLE = 100_000  # characters of a value on the page of its row
BYTES = 32  # of a binary value that are shown in a list


def plain(value: Any) -> str:
    """A value as text, arrays and documents as JSON."""
    if isinstance(value, (bytes, memoryview)):
        return "\\x" + bytes(value).hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, default=plain)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat(" ") if isinstance(value, datetime) else value.isoformat()
    return str(value)


def short(value: Any) -> Markup:
    """A value for a cell of a list."""
    if value is None:
        return Markup('<span class="null">NULL</span>')
    if isinstance(value, (bytes, memoryview)):
        size = len(bytes(value))
        value = bytes(value)[:BYTES]
        more = "…" if size > BYTES else ""
        return Markup('<code>{}{}</code> <span class="size">{} bytes</span>').format(plain(value), more, f"{size:,}")
    said = " ".join(plain(value).split()) if isinstance(value, str) else plain(value)
    tag = "code" if isinstance(value, (dict, list)) else "span"
    if len(said) > SHORT:
        return Markup("<{0} title='{1}'>{2}…</{0}>").format(Markup(tag), said[: SHORT * 10], said[: SHORT - 1])
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), said)


def whole(value: Any) -> Markup:
    """A value for the page of its row."""
    if value is None or isinstance(value, (bool, int, float)):
        return short(value)
    if isinstance(value, (dict, list)):
        said = json.dumps(value, ensure_ascii=False, indent=2, default=plain)
        return Markup("<pre>{}</pre>").format(cut(said))
    said = plain(value)
    return Markup("<pre>{}</pre>").format(cut(said)) if "\n" in said or len(said) > SHORT else escape(said)


def cut(text: str) -> str:
    """A text that a browser can show."""
    return text if len(text) <= WHOLE else f"{text[:WHOLE]}…\n({len(text):,} characters)"
