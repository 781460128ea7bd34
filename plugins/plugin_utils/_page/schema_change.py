# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema with what became of it: each table, column and foreign key as it was before a run and as it is after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Mark = Literal["", "added", "removed", "changed"]
Relations = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Column:
    """A column; ``was`` is how it was described before, where that changed."""

    name: str
    kind: str
    key: bool
    mark: Mark = ""
    was: str = ""


@dataclass(frozen=True)
class Link:
    """A foreign key of these columns to that table."""

    columns: tuple[str, ...]
    table: str
    mark: Mark = ""


@dataclass(frozen=True)
class Table:
    """A table, without the schema in its name where that is public."""

    name: str
    columns: tuple[Column, ...]
    links: tuple[Link, ...]
    mark: Mark = ""


def changed_schema(before: Relations | None, after: Relations | None) -> list[Table]:
    """The tables of both, in order of their names. Where one of the two is not known (None), nothing is marked."""
    known = after if after is not None else before or ()
    old = {each["table"]: each for each in (known if before is None else before)}
    new = {each["table"]: each for each in known}
    return [_table(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys())]


def changes(tables: Iterable[Table]) -> list[str]:
    """What became of the tables in words, one that was added or removed for itself, and what is new in the others."""
    found = []
    for table in tables:
        if table.mark in ("added", "removed"):
            found.append(f"{table.name}: table {table.mark}")
            continue
        for column in table.columns:
            if column.mark:
                was = f", which was {column.was}" if column.was else ""
                found.append(f"{table.name}.{column.name}: column {column.mark}, {column.kind}{was}")
        found += [
            f"{table.name}: reference ({', '.join(link.columns)}) to {link.table} {link.mark}"
            for link in table.links if link.mark
        ]  # fmt: skip
    return found


def short(name: str) -> str:
    """The name of a table as it is shown."""
    return name.removeprefix("public.")


def _table(name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Table:
    # Of a table that is new or gone as a whole, its parts need no mark of their own.
    whole = new if old is None else old if new is None else None
    first, last = (whole, whole) if whole is not None else (old, new)
    assert first is not None
    assert last is not None
    columns, links = tuple(_columns(first, last)), tuple(_links(first, last))
    mark: Mark = "added" if old is None else "removed" if new is None else ""
    if not mark and any([*(each.mark for each in columns), *(each.mark for each in links)]):
        mark = "changed"
    return Table(short(name), columns, links, mark)


def _columns(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Column]:
    former = {each["name"]: each for each in old["columns"]}
    for each in new["columns"]:
        was = former.pop(each["name"], None)
        kind, kind_was = _kind(each), _kind(was) if was else ""
        mark: Mark = "added" if was is None else "changed" if kind != kind_was else ""
        yield Column(each["name"], kind, bool(each["key"]), mark, kind_was if mark == "changed" else "")
    for each in former.values():
        yield Column(each["name"], _kind(each), bool(each["key"]), "removed")


def _kind(column: Mapping[str, Any]) -> str:
    key = " key" if column["key"] else ""
    return f"{column['type']}{key}{'' if column['required'] else ' null'}"


def _links(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Link]:
    def read(relation: Mapping[str, Any]) -> dict[tuple[tuple[str, ...], str], Link]:
        links = [Link(tuple(each["columns"]), short(each["table"])) for each in relation["references"]]
        return {(link.columns, link.table): link for link in links}

    former, current = read(old), read(new)
    for key, link in current.items():
        yield link if key in former else Link(link.columns, link.table, "added")
    for key, link in former.items():
        if key not in current:
            yield Link(link.columns, link.table, "removed")
