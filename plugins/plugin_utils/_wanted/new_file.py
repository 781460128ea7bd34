# SPDX-License-Identifier: GPL-3.0-or-later
"""The directory of a new migration: its name, its text, and how it gets to its place."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import textwrap
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import sort_key

_LONGEST = 200  # characters; the history keeps 255, with the time stamp
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_STAMPED = re.compile(r"(\d{14})_(.+)")
_STAMP = "%Y%m%d%H%M%S"


def existing(directory: str) -> list[str]:
    """The names of the migrations that are there, in order; none where the directory is still to be made."""
    path = Path(directory)
    return sorted((each.name for each in path.iterdir() if each.is_dir()), key=sort_key) if path.is_dir() else []


def check_name(name: str, names: Sequence[str]) -> None:
    """Raise SlipwayError unless a migration can be called so, beside those that are there."""
    if not name:
        raise SlipwayError("The new migration has no name: say what it does, such as -e name=add_orders.")
    if not _NAME.fullmatch(name):
        raise SlipwayError(
            f"The name {name!r} can't be a migration's: use letters, digits, _ and - alone, such as -e name=add_orders."
        )
    if len(name) > _LONGEST:
        raise SlipwayError(
            f"The name of the new migration has {len(name)} characters, more than {_LONGEST}: choose a shorter one."
        )
    same = next((each for each in names if each == name or (_STAMPED.fullmatch(each) or [""] * 3)[2] == name), None)
    if same:
        raise SlipwayError(f"There is a migration of that name already, {same}: choose another name.")


def stamped(name: str, names: Sequence[str], now: datetime) -> str:
    """The directory's name, which comes after all that are there, and begins with the time in UTC where it can.

    Raises SlipwayError where no time stamp comes after them.
    """
    newest = names[-1] if names else ""
    match = _STAMPED.fullmatch(newest)
    if match and match[1] >= now.strftime(_STAMP):  # another machine's clock is ahead
        try:
            now = datetime.strptime(match[1], _STAMP) + timedelta(seconds=1)
        except ValueError:
            raise _last(newest, name) from None
    found = f"{now.strftime(_STAMP)}_{name}"
    if names and sort_key(found) <= sort_key(newest):
        raise _last(newest, name)
    return found


def _last(newest: str, name: str) -> SlipwayError:
    return SlipwayError(
        f"The migration {newest!r} would come after any that begins with the time, so that {name!r} would be out of "
        f"order: "
        "give its directory the name of a time stamp that is past, or write the new one by hand."
    )


def text(head: Sequence[str], statements: Sequence[str]) -> str:
    """A file of SQL: what is to be known, as comments, and the statements."""
    lines: list[str] = []
    for each in head:
        for part in each.splitlines():
            lines += textwrap.wrap(part, 117, initial_indent="-- ", subsequent_indent="--   ") or ["--"]
    body = "".join(f"{statement.rstrip().rstrip(';')};\n\n" for statement in statements)
    return "\n".join([*lines, "", body]).rstrip() + "\n" if lines else body.rstrip() + "\n"


def write(directory: str, name: str, files: dict[str, str]) -> None:
    """Put a migration in its place as a whole: after a crash it is there or it is not."""
    home = Path(directory)
    home.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".slipway-", dir=home.parent))
    try:
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o777 & ~mask)
        for file, content in files.items():
            replace_file(str(partial / file), content, 0o666 & ~mask)
        partial.rename(home / name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    opened = os.open(home, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
