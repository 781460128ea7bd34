# SPDX-License-Identifier: GPL-3.0-or-later
"""Lints scripts with squawk on the controller, and finds the waivers that the files themselves hold."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError, plain
from ansible_collections.slipway.deploy.plugins.module_utils._migration.lint_relevance import RULES, Lint
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script, locate

# On a line of its own before the statement, within it, or after it on its line:  -- slipway: allow <rule>: <reason>
_WAIVER = re.compile(r"--\s*slipway:\s*allow\s+([a-z-]+)\s*:[ \t]*(\S[^\r\n]*)")
_COMMENT_AFTER = re.compile(r";[ \t]*--[^\r\n]*")
# Squawk's own comments would take effect with neither a reason nor a trace.
_OWN_COMMENT = re.compile("squawk-", re.IGNORECASE)
# The lines that squawk counts.
_END_OF_LINE = re.compile(r"\r\n?|\n")
# Files in memory are written faster, but there may be little of it.
_IN_MEMORY = Path("/dev/shm")
_LITTLE = 16 * 1024 * 1024


def lint(names: Iterable[str], scripts: Mapping[str, Script]) -> dict[str, Script]:
    """The scripts, of which those with the names are linted."""
    squawk = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
    if not squawk:
        raise SlipwayError(
            "The linter squawk is missing on the controller: install it there (pip install squawk-cli), or set the "
            "policy lint to allow."
        )
    linted = [name for name in names if name in scripts]
    found: dict[str, list[dict[str, Any]]] = {}
    for each in _squawk(squawk, [scripts[name].text for name in linted]):
        if each["rule_name"] in RULES:
            found.setdefault(linted[int(each["file"].removesuffix(".sql"))], []).append(each)
    return {
        name: replace(script, lint=_findings(script, found[name])) if name in found else script
        for name, script in scripts.items()
    }


def _squawk(program: str, texts: list[str]) -> list[dict[str, Any]]:
    """What squawk finds in texts, which it sees as files with their numbers as names, and under no settings."""
    if not texts:
        return []
    in_memory = os.access(_IN_MEMORY, os.W_OK) and sum(map(len, texts)) < _LITTLE
    try:
        with tempfile.TemporaryDirectory(dir=_IN_MEMORY if in_memory else None) as directory:
            for number, text in enumerate(texts):
                with open(f"{directory}/{number}.sql", "wb") as file:
                    file.write(_OWN_COMMENT.sub("squawk_", text).encode())
            Path(directory, "empty.toml").touch()
            command = [program, "--config", "empty.toml", "--assume-in-transaction", "--reporter", "json", "*.sql"]
            done = subprocess.run(command, cwd=directory, capture_output=True, encoding="utf-8", check=False)
    except OSError as error:
        raise SlipwayError(
            f"Can't give the migrations to the linter squawk ({plain(error)}): make room for temporary files on the "
            "controller, or set the policy lint to allow."
        ) from error
    try:
        result: list[dict[str, Any]] = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise SlipwayError(
            f"The linter squawk failed ({done.stderr.strip() or error}): run {program} on the migrations to see why."
        ) from error
    return result


def _findings(script: Script, found: list[dict[str, Any]]) -> tuple[Lint, ...]:
    """Squawk's findings, each with the statement that it is about. It counts lines, and columns in bytes, from 0."""
    text = script.text
    lines = [0, *(match.end() for match in _END_OF_LINE.finditer(text))]
    ends = [_end(text, statement.end) for statement in script.statements]
    result = []
    for each in found:
        first = lines[each["line"]]
        before = text[first : first + each["column"]].encode()[: each["column"]]
        offset = first + len(before.decode(errors="ignore"))
        number = bisect_right(ends, offset)
        tables: tuple[str, ...] = ()
        waiver = ""
        if number < len(ends):
            tables = script.statements[number].tables
            begins = ends[number - 1] if number else 0
            waiver = dict(_WAIVER.findall(text[begins : ends[number]])).get(each["rule_name"], "").strip()
        line, column = locate(text, offset)
        message = " ".join(part for part in (each["message"], each["help"]) if part)
        result.append(Lint(f"{script.path}:{line}:{column}", each["rule_name"], message, tables, waiver))
    return tuple(result)


def _end(text: str, end: int) -> int:
    """Where what belongs to a statement ends: with the comment that follows it on its line."""
    match = _COMMENT_AFTER.match(text, end)
    return match.end() if match else end
