#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes docs/variables.md from the wiring, and the list of variables in each role's README from its argument specs."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
OPERATOR = ROOT / "playbooks" / "group_vars" / "all" / "operator_variables.yml"
PAGE = ROOT / "docs" / "variables.md"
HEAD = """\
# Variables

What an inventory, or `-e`, may set. Each has one name. What a role gets is derived from these, and a role's variable
that an inventory or `-e` sets in their place is refused with the name to use. `make docs` makes this page from
`playbooks/group_vars/all/operator_variables.yml`.
"""


LIST = "## Variables\n"


@functools.cache
def specs(role: str) -> Mapping[str, Mapping[str, Any]]:
    """The options of each entry point of a role, by name."""
    found = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    return {entry: about.get("options", {}) for entry, about in found.items()}


@functools.cache
def options(role: str) -> Mapping[str, Mapping[str, Any]]:
    """The options of all entry points of a role, by name."""
    return {name: option for entry in reversed(specs(role).values()) for name, option in entry.items()}


def in_a_cell(text: str | list[str]) -> str:
    """A description for the cell of a table, with Ansible's markup, such as C(code), as Markdown's."""
    joined = " ".join((text if isinstance(text, str) else " ".join(text)).split())
    return re.sub(r"\b[CEMOPRV]\(([^()#]+)[^()]*\)", r"`\1`", joined).replace("|", "\\|")


def described(option: Mapping[str, Any]) -> str:
    """What a variable says, in its own words or in those of the role's variable that it becomes."""
    if "description" in option:
        return in_a_cell(option["description"])
    name = option["role"]
    role = next(path.name for path in (ROOT / "roles").iterdir() if name.startswith(f"{path.name}_"))
    return in_a_cell(options(role)[name]["description"])


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
    lines = OPERATOR.read_text().splitlines()
    known = yaml.safe_load(OPERATOR.read_text())["preflight_variables"]
    operators = {option["role"]: name for name, option in known.items() if "role" in option}
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
            about = re.sub(r"`(\w+)`", lambda found: f"`{operators.get(found[1], found[1])}`", described(option))
            text.append(f"| `{name}` | {kind(option)} | {default(option)} | {about} |")
    return "\n".join(text).replace("\n\n\n", "\n\n") + "\n"


def readme(role: str) -> str:
    """A role's README: what was written by hand, then a table of its variables."""
    by_hand = (ROOT / "roles" / role / "README.md").read_text().partition(LIST)[0].rstrip()
    several = len(specs(role)) > 1
    heads = ["variable", *(["entry points"] if several else []), "type", "default", ""]
    lines = ["| " + " | ".join(heads).rstrip() + " |", "|---" * len(heads) + "|"]
    for name, option in options(role).items():
        entries = ", ".join(f"`{entry}`" for entry, found in specs(role).items() if name in found)
        cells = [
            f"`{name}`",
            *([entries] if several else []),
            kind(option),
            default(option),
            in_a_cell(option["description"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return f"{by_hand}\n\n{LIST}\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    for directory in (ROOT / "roles").iterdir():
        (directory / "README.md").write_text(readme(directory.name))
