#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes docs/variables.md from what the wiring says of an operator's variables."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
WIRING = ROOT / "playbooks" / "group_vars" / "all.yml"
PAGE = ROOT / "docs" / "variables.md"
HEAD = """\
# Variables

What an inventory, or `-e`, may set. Each has one name. What a role gets is derived from these, and a role's variable
that an inventory or `-e` sets in their place is refused with the name to use. `make docs` makes this page from
`playbooks/group_vars/all.yml`.
"""


@functools.cache
def options(role: str) -> Mapping[str, Mapping[str, Any]]:
    """The options of all entry points of a role, by name."""
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return {name: option for entry in reversed(specs.values()) for name, option in entry.get("options", {}).items()}


def described(option: Mapping[str, Any]) -> str:
    """What a variable says, in its own words or in those of the role's variable that it becomes."""
    if "description" in option:
        return str(option["description"])
    name = option["role"]
    role = next(path.name for path in (ROOT / "roles").iterdir() if name.startswith(f"{path.name}_"))
    text = options(role)[name]["description"]
    return " ".join(text if isinstance(text, list) else [text])


def default(option: Mapping[str, Any]) -> str:
    """The column of the defaults: a value, or when the variable must be set."""
    required = option.get("required", False)
    if required is True:
        return "**required**"
    given = option.get("default")
    shown = "" if given is None else f"`{str(given).lower() if isinstance(given, bool) else given or repr(given)}`"
    cases = [
        " and ".join(f"{name} is {'not set' if value is None else value}" for name, value in case.items())
        for case in required or []
    ]
    return "; ".join(part for part in (shown, f"required where {' or '.join(cases)}" if cases else "") if part)


def kind(option: Mapping[str, Any]) -> str:
    return " \\| ".join(option["choices"]) if "choices" in option else str(option.get("type", "str"))


def page() -> str:
    """The whole page: a table for each group of variables, as the comments in the wiring divide them."""
    lines = WIRING.read_text().splitlines()
    known = yaml.safe_load(WIRING.read_text())["preflight_variables"]
    text, inside = [HEAD], False
    for line in lines:
        inside = line == "preflight_variables:" or (inside and line.startswith(" "))
        name = line.strip().partition(":")[0]
        if not inside or not line.startswith("  ") or line.startswith("   "):
            continue
        if name.startswith("#"):
            text += ["", f"## {name.removeprefix('# ')}", "", "| variable | type | default | |", "|---|---|---|---|"]
        elif name in known:
            option = known[name]
            about = described(option).replace("|", "\\|")
            text.append(f"| `{name}` | {kind(option)} | {default(option)} | {about} |")
    return "\n".join(text).replace("\n\n\n", "\n\n") + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
