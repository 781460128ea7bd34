# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role says of its variables in meta/argument_specs.yml is what defaults/main.yml does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).parents[3] / "roles").iterdir())


def load(role: Path, file: str) -> dict[str, Any]:
    found = role / file
    return yaml.safe_load(found.read_text()) or {} if found.exists() else {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    """The options of all entry points of a role."""
    specs = load(role, "meta/argument_specs.yml")["argument_specs"]
    return {name: option for entry in specs.values() for name, option in entry.get("options", {}).items()}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
class TestRole:
    def test_every_default_is_specified(self, role: Path) -> None:
        assert sorted(load(role, "defaults/main.yml").keys() - options(role).keys()) == []

    def test_what_is_specified_has_its_default_or_is_required(self, role: Path) -> None:
        defaults = load(role, "defaults/main.yml")
        assert [name for name, option in options(role).items() if name not in defaults and "default" in option] == []

    def test_what_is_required_has_no_default(self, role: Path) -> None:
        """So that leaving it out is refused; a value that is wrong for everybody is no default."""
        specs = load(role, "meta/argument_specs.yml")["argument_specs"].values()
        required: dict[str, set[bool]] = {}
        for entry in specs:
            for name, option in entry.get("options", {}).items():
                required.setdefault(name, set()).add(option.get("required", False))
        assert [name for name in load(role, "defaults/main.yml") if required[name] == {True}] == []

    def test_the_defaults_are_the_same(self, role: Path) -> None:
        defaults = load(role, "defaults/main.yml")
        differing = {
            name: (option["default"], defaults[name])
            for name, option in options(role).items()
            if "default" in option and name in defaults and option["default"] != defaults[name]
        }
        assert differing == {}

    def test_names_begin_with_the_role(self, role: Path) -> None:
        assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []

    def test_every_entry_point_is_specified(self, role: Path) -> None:
        tasks = role / "tasks"
        included = {
            word.strip("\"'").removesuffix(".yml")
            for file in tasks.glob("*.yml")
            for line in file.read_text().splitlines()
            if "include_tasks:" in line
            for word in [line.split("include_tasks:")[1].strip()]
        }
        entries = {file.stem for file in tasks.glob("*.yml")} - included
        specified = set(load(role, "meta/argument_specs.yml")["argument_specs"])
        assert specified <= {file.stem for file in tasks.glob("*.yml")}
        assert "main" in entries

    def test_it_has_a_readme(self, role: Path) -> None:
        assert (role / "README.md").read_text().startswith(f"# {role.name}\n")
