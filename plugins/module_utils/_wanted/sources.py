# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source of the wanted schema can speak of: what it can't say is left as it is, and never dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Key, Parts, Schema

# What goes with a table or a column without being asked.
_PART_OF_TABLE = ("constraint", "index", "statistics object", "comment", "default", "trigger", "rule", "policy")


@dataclass(frozen=True)
class Source:
    """A source by its name; ``more`` are kinds that it speaks of here besides those that it always does."""

    name: str
    more: frozenset[str] = frozenset()

    def wish(self, present: Schema, wanted: Schema) -> Schema:
        """The schema that is to be: the wanted one, and of the present one what the source can't speak of."""
        if self.name == "sql":
            return wanted
        texts = dict(present.texts)
        parts: dict[Key, Parts] = dict(present.parts)
        needs = dict(present.needs)
        gone = {
            key for key, made in present.parts.items() if key not in wanted.parts and self._said(key, made) is not None
        }
        for key in _with_what_goes_along(present, gone):
            for each in (texts, parts, needs):
                each.pop(key, None)
        for key, made in wanted.parts.items():
            said = self._said(key, made)
            before = present.parts.get(key)
            if said is None or (before is not None and self._said(key, before) == said):
                continue
            texts[key] = wanted.texts.get(key, "")
            parts[key] = {**before, **_whole(said, made)} if before is not None else made
            needs[key] = wanted.needs[key] | present.needs.get(key, frozenset())
        # What is new has the rights that it gets by default.
        known = {_on(key) for key in present.texts if key[0] == "rights on"}
        texts.update(
            (key, text) for key, text in wanted.texts.items() if key[0] == "rights on" and _on(key) not in known
        )
        return Schema(texts, parts, {key: frozenset(each & parts.keys()) for key, each in needs.items()})

    def _said(self, key: Key, parts: Parts) -> Mapping[str, Any] | None:
        """What the source says of an object; None where it can say nothing."""
        kind = key[0]
        if kind in self.more:
            return parts
        sayer = _SAYERS[self.name].get(kind)
        return sayer(parts) if sayer else None


def _on(key: Key) -> str:
    return key[1].rpartition(" for ")[0]


def _whole(said: Mapping[str, Any], made: Parts) -> Mapping[str, Any]:
    """All of an object's parts, where what is said is not among them by name."""
    return {name: made[name] for name in said if name in made} if all(name in made for name in said) else made


def _with_what_goes_along(present: Schema, gone: set[Key]) -> set[Key]:
    found = set(gone)
    containers = {key for key in gone if key[0] in ("table", "column", "view")}
    for key, needs in present.needs.items():
        if key[0] == "column" and needs & {each for each in containers if each[0] == "table"}:
            found.add(key)
    for key, needs in present.needs.items():
        owner = present.parts[key].get("table")
        if key[0] in _PART_OF_TABLE and (
            ("table", owner) in found or any(each in found and _of(present, each) == owner for each in needs)
        ):
            found.add(key)
        if key[0] == "default" and ("column", key[1]) in found:
            found.add(key)
    for key in present.needs:
        if key[0] == "comment" and tuple(present.parts[key].get("of", ())) in found:
            found.add(key)
        if key[0] == "sequence" and ("column", present.parts[key]["column"]) in found:
            found.add(key)
    return found


def _of(present: Schema, key: Key) -> Any:
    return present.parts[key].get("table") if key[0] == "column" else None


def _only(*names: str, where: Callable[[Parts], bool] = lambda parts: True) -> Callable[[Parts], Any]:
    return lambda parts: {name: parts[name] for name in names} if where(parts) else None


def _prisma_column(parts: Parts) -> dict[str, Any]:
    """``autoincrement()`` is a sequence as default or an identity; what is generated has no default in Prisma."""
    own = parts["identity"] or (parts["default"] or "").startswith("nextval(")
    default = "autoincrement()" if own else parts["default"]
    said = {name: parts[name] for name in ("type", "base", "element", "notnull")}
    return {**said, "default": default if not parts["generated"] else None}


_TABLE = _only()
_SAYERS: Mapping[str, Mapping[str, Callable[[Parts], Any]]] = {
    "prisma": {
        "schema": _only(),
        "table": _TABLE,
        "column": _prisma_column,
        "type": _only("type", "labels", where=lambda parts: parts["type"] == "e"),
        "sequence": _only("type", where=lambda parts: bool(parts["column"]) and not parts["internal"]),
        "constraint": _only("type", "definition", where=lambda parts: parts["type"] in "pf"),
        "index": _only("definition", where=lambda parts: not parts["partial"] and not parts["expression"]),
        "default": _only(),
    },
    "sqlalchemy": {
        "schema": _only(),
        "table": _TABLE,
        "column": _only(
            "type", "base", "element", "collation", "notnull", "default", "generated", "expression", "identity"
        ),
        "type": _only(
            "type", "labels", "base", "notnull", "default", "checks", where=lambda parts: parts["type"] in "ed"
        ),
        "sequence": _only("type", "start", "increment", "minimum", "maximum", "cache", "cycle", "internal", "column"),
        "constraint": _only("type", "definition"),
        "index": _only("definition"),
        "comment": _only("text", where=lambda parts: parts["type"] in ("table", "table column")),
        "default": _only("default"),
    },
}
