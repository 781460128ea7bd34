# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deploy is going to do, written down so that somebody approves it, and held against what it would do later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, advice

FORMAT = 1
# Of these a run may have others than the one that made the plan: they say how it is told, or that it may go on.
ABOUT_THE_RUN = frozenset(("approved", "confirm", "lock_wait", "output", "plan", "row_values"))
# What each part that is held against an approval is called, and whether its values are told: a digest says nothing.
_PARTS = {
    "application": ("the application", True),
    "environment": ("the environment", True),
    "release": ("the release", True),
    "images": ("image", True),
    "hosts": ("group", True),
    "migrations": ("migration", False),
    "variables": ("variable", False),
    "serving": ("the release that serves", True),
    "pending": ("what is pending", True),
}


def digest(value: object) -> str:
    """A short digest of a variable as it was written. What a vault has encrypted is one as good as another."""
    text = json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, str | int | float) else "in a vault"


def digests(variables: Mapping[str, Any], names: Iterable[str], secrets: Iterable[str]) -> dict[str, str]:
    """Of each variable in ``names`` that is set; not of secrets, which can change without another deploy."""
    wanted = sorted(set(names) - set(secrets) - ABOUT_THE_RUN)
    return {name: digest(variables[name]) for name in wanted if name in variables}


def differences(approved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What ``now``, which may lack parts that are not known yet, does not have as it was approved; a clause each."""
    found = []
    for part, (called, by_value) in _PARTS.items():
        if part not in now or approved.get(part) == now[part]:
            continue
        before, after = approved.get(part), now[part]
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for name in sorted({*before, *after}):
                if before.get(name) != after.get(name):
                    how = _told(before.get(name), after.get(name)) if by_value else _changed(name, before, after)
                    found.append(f"{called} {name} {how}")
        else:
            found.append(f"{called} {_told(before, after)}")
    return found


def _told(before: object, after: object) -> str:
    return f"is {_shown(after)}, not {_shown(before)}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "nothing"
    return "unknown" if value is None else str(value) or "none"


def _changed(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "is new" if name not in before else "is no more" if name not in after else "differs"


def read(path: Path) -> dict[str, Any]:
    """The plan in a file. Raises SlipwayError when there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SlipwayError(
            f"The approved plan {path} can't be read: {error.strerror}; {advice(error)}, or make it by --check "
            f"-e plan={path}."
        ) from error
    except ValueError as error:
        raise SlipwayError(f"{path} is no plan: it is no JSON ({error}); make it by --check -e plan={path}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise SlipwayError(f"{path} is no plan of format {FORMAT}; make it anew by --check -e plan={path}.")
    return found


def write(path: Path, plan: Mapping[str, Any]) -> None:
    """Put a plan in a file, whole or not at all. Raises SlipwayError when that fails."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        text = json.dumps({"format": FORMAT, **plan}, indent=2, ensure_ascii=False)
        partial.write_text(f"{text}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise SlipwayError(f"The plan can't be written to {path}: {error.strerror}; {advice(error)}.") from error
