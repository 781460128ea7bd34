# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a run on the controller: its record and its page, named after when it began."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._host.files import replace_file

KEPT = 500  # runs, of some 50 kB each
_OURS = re.compile(r"\d{8}T\d{6}Z-[\w-]+\.")  # the name of a run's file, of any kind


def stem(record: Mapping[str, Any]) -> str:
    """The name of a run's files without what comes after the dot: ``20260102T030405Z-deploy-4711``."""
    stamp = re.sub(r"[-:]", "", str(record.get("started") or record.get("finished") or "")[:19])
    verb, pid = record.get("verb", ""), record.get("run", {}).get("pid", 0)
    return re.sub(r"[^\w-]", "_", f"{stamp}Z-{verb}-{pid}")


def page_of(record: Mapping[str, Any], directory: str) -> str:
    """The page of a run on this controller; '' where it is not here, since the run was another controller's."""
    file = Path(directory) / f"{stem(record)}.html"
    return str(file) if directory and file.is_file() else ""


def write(record: Mapping[str, Any], page: str, directory: Path) -> Path:
    """Write both files, for nobody else to read, and return the page; what is of runs long past goes.

    Raises OSError where that can't be done.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = stem(record)
    replace_file(str(directory / f"{name}.json"), text(record))
    place = directory / f"{name}.html"
    replace_file(str(place), page)
    forget(directory)
    return place


def forget(directory: Path, kept: int = KEPT) -> None:
    """Remove the files of all runs in the directory but the last ``kept``."""
    ours = sorted(file for file in directory.iterdir() if _OURS.match(file.name))
    runs = sorted({file.name.partition(".")[0] for file in ours})
    for file in ours:
        if file.name.partition(".")[0] in runs[:-kept]:
            file.unlink(missing_ok=True)


def text(record: Mapping[str, Any]) -> str:
    """The record as its file has it."""
    return json.dumps(record, ensure_ascii=False, indent=2) + "\n"
