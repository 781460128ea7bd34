# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names are the operator's and which Slipway's own, and what is said of one of its own that somebody sets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Spec = Mapping[str, Mapping[str, Any]]
# What the playbooks tell the preflight and note for themselves, under names that do not begin with a role's.
OF_PLAYBOOKS = frozenset((
    "chosen", "compares", "damaged", "drift", "found", "generates", "looks", "migrates", "prepared", "refused",
    "serving", "slipway_answer", "slipway_told", "slipway_tried", "stopped", "verb", "would_apply", "writes",
))  # fmt: skip

# Of an expression of Jinja, without the attributes and the parts of a plugin's name.
_WORD = re.compile(r"(?<![\w.])[a-z_]+")


def operator_names(name: str, wiring: Mapping[str, Any], spec: Spec) -> list[str]:
    """The operator's variables from which the wiring derives ``name``: those that it names, else those behind them."""
    found: list[str] = []
    seen, level = {name}, [name]
    while level and not found:
        words = [word for each in level for word in _WORD.findall(str(wiring.get(each, "")))]
        found = [word for word in dict.fromkeys(words) if word in spec]
        level = [word for word in dict.fromkeys(words) if word in wiring and word not in seen]
        seen.update(level)
    return found


def overridden_errors(places: Mapping[str, str], wiring: Mapping[str, Any], spec: Spec) -> list[str]:
    """A sentence for each variable of the inventory (name: place) that would count for nothing beside the wiring."""
    found = []
    for name, place in sorted(places.items()):
        if name not in wiring or name in spec:
            continue
        names = operator_names(name, wiring, spec)
        derived = f"derives it from {', '.join(names)}: set that instead" if names else "sets it itself: remove it"
        found.append(f"Variable {name} in {place or 'the inventory'} would have no effect, since Slipway {derived}.")
    return found


def own_names(roles: Path, playbooks: Path) -> frozenset[str]:
    """What the roles and playbooks call their options, results and private variables."""
    prefix = "|".join(role.name for role in roles.iterdir())
    defined = re.compile(rf"^[ -]*(?:register: )?((?:__)?(?:{prefix})_\w+)(?::|$)", re.MULTILINE)
    files = [*roles.glob("*/[dmtv]*/*.yml"), *playbooks.glob("*.yml")]
    return OF_PLAYBOOKS.union(*(defined.findall(file.read_text(encoding="utf-8")) for file in files))


def taken_errors(places: Mapping[str, str], own: Iterable[str], wiring: Mapping[str, Any], spec: Spec) -> list[str]:
    """A sentence for each of Slipway's own variables that is given (name: where) and would count in place of its own.

    With another value of it a run would leave out a backup, a proof, a rehearsal, a check or the lock.
    """
    found = []
    for name in sorted(places.keys() & {*own, *wiring} - spec.keys()):
        names = operator_names(name, wiring, spec)
        instead = f"derives it from {', '.join(names)}: set that instead" if names else "finds it itself: leave it out"
        found.append(f"Variable {name} can't be set {places[name]}, since Slipway {instead}.")
    return found


def cut_errors(extra: Mapping[str, Any]) -> list[str]:
    """A sentence for values that were cut at their first blank, of which the rest (``_raw_params``) belongs to none.

    So Ansible reads ``-e name=value``: as words, of which each may be another variable's.
    """
    rest = extra.get("_raw_params")
    said = f"The words {rest!r} of -e belong to no variable, since a blank ends a value: quote a value that has blanks"
    return [f"""{said} once more, as in -e "reason='so it is'"."""] if rest else []
