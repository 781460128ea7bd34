# SPDX-License-Identifier: GPL-3.0-or-later
"""Lints scripts with squawk on the controller, and finds the waivers that the files themselves hold."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Script
from ansible_collections.slipway.deploy.plugins.module_utils._migration_lint import RULES, Lint

# On a line of its own before the statement, or within it:  -- slipway: allow <rule>: <reason>
_WAIVER = re.compile(r"--\s*slipway:\s*allow\s+([a-z-]+)\s*:[ \t]*(\S[^\r\n]*)")
_FILES_AT_ONCE = 500


def lint(files: Mapping[str, Path], scripts: Mapping[str, Script]) -> dict[str, Script]:
    """The scripts, by name, with what squawk finds in their files."""
    squawk = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if not squawk:
        raise SlipwayError(
            "The linter squawk is missing on the controller: install it there (pip install squawk-cli), or set the "
            "policy lint to allow."
        )
    names = {str(path): name for name, path in files.items() if name in scripts}
    found: dict[str, list[Lint]] = {}
    paths = list(names)
    for first in range(0, len(paths), _FILES_AT_ONCE):
        for each in _squawk(squawk, paths[first : first + _FILES_AT_ONCE]):
            if each["rule_name"] in RULES:
                name = names[each["file"]]
                found.setdefault(name, []).append(_finding(scripts[name], each))
    return {name: replace(script, lint=tuple(found.get(name, ()))) for name, script in scripts.items()}


def _squawk(program: str, paths: list[str]) -> list[dict[str, Any]]:
    command = [program, "--assume-in-transaction", "--reporter", "json", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        result: list[dict[str, Any]] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise SlipwayError(
            f"The linter squawk failed ({done.stderr.strip() or error}): run {program} on the migrations to see why."
        ) from error
    return result


def _finding(script: Script, found: Mapping[str, Any]) -> Lint:
    """Squawk's finding, which counts lines and columns from 0, with the statement that it is about."""
    line, column, rule = found["line"], found["column"], found["rule_name"]
    lines = script.text.split("\n")
    offset = sum(len(each) + 1 for each in lines[:line]) + column
    begins, waiver = 0, ""
    tables: tuple[str, ...] = ()
    for statement in script.statements:
        if begins <= offset <= statement.end:
            tables = statement.tables
            waivers = dict(_WAIVER.findall(script.text[begins : statement.end]))
            waiver = waivers.get(rule, "").strip()
        begins = statement.end
    message = " ".join(part for part in (found["message"], found["help"]) if part)
    return Lint(f"{script.path}:{line + 1}:{column + 1}", rule, message, tables, waiver)
