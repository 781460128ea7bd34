# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a program of an operator's session outside of Ansible: ``python start.py PROGRAM FILE``.

The file holds the session as JSON, which has a password in it, and is removed when it has been read.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import types
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).resolve().parents[3]
PACKAGE = "ansible_collections.slipway.deploy"
PROGRAMS = {"psql": "_session.psql", "studio": "_studio.serve"}


def make_importable() -> None:
    """Have this collection found wherever it lies, also where another package is called ``ansible_collections``."""
    parts = PACKAGE.split(".")
    for number in range(1, len(parts) + 1):
        package = types.ModuleType(".".join(parts[:number]))
        package.__path__ = [str(COLLECTION)] if number == len(parts) else []
        sys.modules[package.__name__] = package


def take(file: Path) -> dict[str, Any]:
    """Read the session and remove its file."""
    text = file.read_text()
    file.unlink()
    found: dict[str, Any] = json.loads(text)
    return found


def leave(number: int, _frame: object) -> None:
    """End as for any other reason, so that what was started is ended."""
    sys.exit(128 + number)


def main(program: str, file: str) -> int:
    """Run the program and return its exit status."""
    make_importable()
    plugins = f"{PACKAGE}.plugins"
    errors = importlib.import_module(f"{plugins}.module_utils._errors")
    model = importlib.import_module(f"{plugins}.plugin_utils._session.model")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        session = model.Session.from_dict(take(Path(file)))
        run = importlib.import_module(f"{plugins}.plugin_utils.{PROGRAMS[program]}").run
        return int(run(session))
    except (errors.SlipwayError, OSError) as error:
        print(errors.sentence(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
