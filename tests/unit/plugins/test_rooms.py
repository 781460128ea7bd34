# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may know whom: a room of the core knows the rooms below it, and none knows the words of those who call it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.release import ROOT

PLUGINS = ROOT / "plugins"
PACKAGE = "ansible_collections.slipway.deploy.plugins"
# From the bottom to the top.
ROOMS = (
    "_errors", "_text", "_host", "_reach", "_run", "_certificate", "_postgres", "_session", "_studio", "_access",
    "_schema", "_backup", "_migration", "_source", "_drift", "_wanted", "_seed", "_health", "_monitoring", "_release",
    "_page", "_story", "_variables", "_module",
)  # fmt: skip
FILES = sorted(path for kind in ("module_utils", "plugin_utils") for path in (PLUGINS / kind).rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PLUGINS).parts[1].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module of the collection that a file imports, from within ``plugins``: ``module_utils._errors``."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.removeprefix(PACKAGE + ".") for name in names if name.startswith(PACKAGE + "."))


@functools.cache
def names_of_callers() -> frozenset[str]:
    """The variables of inventories, of the wiring and of roles that are no module's option as well."""
    names: set[str] = set()
    for path in (ROOT / "playbooks" / "group_vars" / "all").glob("*.yml"):
        names |= set(re.findall(r"^([a-z_]+):", path.read_text(), re.MULTILINE))
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            names |= set(entry.get("options", {}))
    for path in (ROOT / "inventories").rglob("*.yml"):
        names |= set(re.findall(r"^#? ?([a-z_]+):", path.read_text(), re.MULTILINE))
    options: set[str] = set()
    for path in (PLUGINS / "modules").glob("*.py"):
        options |= set(re.findall(r'"(\w+)": \{', path.read_text()))
    # What the core calls so by itself.
    own = {"backup_name", "backup_directory"}
    return frozenset(name for name in names if "_" in name) - options - own


def test_each_file_lives_in_a_known_room() -> None:
    assert {room_of(path) for path in FILES} <= set(ROOMS)
    assert len(FILES) > 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_no_room_knows_a_higher_one(path: Path) -> None:
    for name in imports(path):
        kind, room = name.split(".")[:2]
        assert ROOMS.index(room) <= ROOMS.index(room_of(path)), f"{path.name} imports {name}"
        assert kind == "module_utils" or path.is_relative_to(PLUGINS / "plugin_utils"), f"{path.name} imports {name}"


WORDS = re.compile(r"playbook|group_vars|host_vars|\b\w+\.yml\b|\((\d)/8\)|\bthe role (backend|frontend|migrations)\b")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_the_core_does_not_speak_of_those_who_call_it(path: Path) -> None:
    if room_of(path) == "_variables":  # whose subject is what operators set
        return
    text = path.read_text()
    assert not WORDS.search(text)
    assert not set(re.findall(r"\w+", text)) & names_of_callers()


@pytest.mark.parametrize("path", sorted((PLUGINS / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_is_short(path: Path) -> None:
    code = re.sub(r'^\w+ = r""".*?"""$', "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    assert len([line for line in code.splitlines() if line.strip()]) < 150
