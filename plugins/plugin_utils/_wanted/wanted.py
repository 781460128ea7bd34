# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema that a project wants, as SQL, from where the project describes it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import NotApplicableError, parse

KINDS = ("sql", "prisma", "sqlalchemy")
_LONGEST = 300  # seconds
# Where a project has its schema, where it does not say.
_USUAL = (("prisma", "prisma/schema.prisma"), ("prisma", "schema.prisma"), ("sql", "schema.sql"))
_NAMED = "name it as one of {sql: FILE}, {prisma: FILE}, {sqlalchemy: MODULE:ATTRIBUTE}"


@dataclass(frozen=True)
class Wanted:
    """The wanted schema as a script; the kind of its source, followed by what that speaks of here besides."""

    script: Script
    speaks: tuple[str, ...]


def choose(source: Mapping[str, str], directory: str) -> tuple[str, str]:
    """Which source it is, and its file or models."""
    named = [(kind, source[kind]) for kind in KINDS if source.get(kind)]
    if len(named) > 1:
        raise SlipwayError(
            f"The wanted schema has {len(named)} sources, {' and '.join(k for k, _ in named)}: {_NAMED}."
        )
    found = named or [(kind, file) for kind, file in _USUAL if Path(directory, file).is_file()]
    if not found:
        raise SlipwayError(
            f"Where the wanted schema is described is not known: {directory} has none of "
            f"{', '.join(file for _, file in _USUAL)}; {_NAMED}."
        )
    return found[0]


def read(source: Mapping[str, str], directory: str, environment: Mapping[str, str]) -> Wanted:
    """Read it. Raises SlipwayError with the source's own words where it is wrong."""
    kind, name = choose(source, directory)
    more: tuple[str, ...] = ()
    if kind == "sql":
        raw, shown = _content(Path(directory, name)), name
    elif kind == "prisma":
        raw, shown = _of_prisma(Path(directory, name), environment).encode(), f"{name} (as SQL)"
    else:
        text, more = _of_models(name, source, directory, environment)
        raw, shown = text.encode(), f"{name} (as SQL)"
    try:
        return Wanted(parse(raw, shown), (kind, *more))
    except NotApplicableError as error:
        raise SlipwayError(f"The wanted schema can't be read: {error}") from error


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise SlipwayError(f"The wanted schema can't be read ({plain(error)}): correct the path.") from error


def _run(
    command: list[str], directory: str, environment: Mapping[str, str], what: str
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise SlipwayError(f"{what} did not end within {_LONGEST} s: run {' '.join(command)} to see why.") from error
    except OSError as error:
        raise SlipwayError(f"{what} can't be run ({plain(error)}): install it, or correct its path.") from error


def _of_prisma(file: Path, environment: Mapping[str, str]) -> str:
    """What the project's own Prisma makes of its schema."""
    _content(file)
    project = next((each for each in file.resolve().parents if (each / "node_modules" / "prisma").is_dir()), None)
    if project is None:
        raise SlipwayError(
            f"Prisma is not installed in the project of {file}: run npm install there (the package prisma), and run "
            f"again."
        )
    about = json.loads((project / "node_modules" / "prisma" / "package.json").read_text())
    option = "--to-schema" if int(str(about["version"]).split(".")[0]) >= 7 else "--to-schema-datamodel"
    node = shutil.which("node")
    if node is None:
        raise SlipwayError("Node.js is not installed on the controller, and Prisma needs it: install it and run again.")
    program = project / "node_modules" / ".bin" / "prisma"
    done = _run(
        [str(program), "migrate", "diff", "--from-empty", option, str(file.resolve()), "--script"],
        str(project),
        {"CHECKPOINT_DISABLE": "1", "NO_COLOR": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1", **environment},
        "Prisma",
    )
    if done.returncode:
        said = "\n".join(line for line in f"{done.stdout}{done.stderr}".strip().splitlines())
        raise SlipwayError(f"Prisma can't read {file}, and says:\n{said}")
    return done.stdout


def _of_models(
    target: str, source: Mapping[str, str], directory: str, environment: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """What SQLAlchemy models describe, asked for by the Python that can import them."""
    if not all(target.partition(":")):
        raise SlipwayError(f"The models {target!r} are not MODULE:ATTRIBUTE: name them such as shop.models:Base.")
    python = source.get("python") or sys.executable
    path = str(Path(directory, source.get("path") or ".").resolve())
    with tempfile.NamedTemporaryFile("r", suffix=".json", encoding="utf-8") as file:
        done = _run(
            [python, str(Path(__file__).with_name("models_to_sql.py")), target, file.name],
            directory,
            # Nothing is left beside the models.
            {**environment, "PYTHONPATH": os.pathsep.join(filter(None, [path, environment.get("PYTHONPATH", "")])),
             "PYTHONDONTWRITEBYTECODE": "1"},
            f"Python for the models {target}",
        )  # fmt: skip
        text = file.read()
    found = json.loads(text) if text else {"error": done.stderr.strip()}
    if "error" in found:
        raise SlipwayError(f"The models {target} can't be imported from {path}; {python} says:\n{found['error']}")
    return ";\n\n".join(found["statements"]) + ";\n", tuple(found["kinds"])
