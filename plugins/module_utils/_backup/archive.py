# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in an archive of pg_dump, and the order in which it has to be restored for the copy to be the source.

pg_restore's own order is not always enough (``--jobs`` makes it one of chance):

* A foreign key leans on a unique index of the table that it refers to, and on an older one rather than on a younger one
  when several have its columns. So the indexes that foreign keys lean on come first, then the foreign keys, and the
  other indexes of those tables after them.
* Attaching a partition hands an identity down by one level only, so partitions are attached from the root downwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_CLASS, _CONSTRAINT, _SCHEMA = 1259, 2606, 2615  # OIDs of system catalogues, the same in every version


@dataclass(frozen=True)
class Entry:
    """An object of an archive: its number there, the catalogue that it is in, kind and name, and what it needs."""

    number: int
    catalogue: int
    text: str
    needs: tuple[int, ...] = ()

    @property
    def index(self) -> bool:
        """Whether it is an index, or a constraint that makes one."""
        return (self.catalogue == _CLASS and self.text.startswith("INDEX ")) or (
            self.catalogue == _CONSTRAINT and self.text.startswith("CONSTRAINT ")
        )

    @property
    def foreign_key(self) -> bool:
        return self.catalogue == _CONSTRAINT and self.text.startswith("FK CONSTRAINT ")

    @property
    def attaches(self) -> bool:
        """Whether it makes a table a partition of another."""
        return self.catalogue == 0 and self.text.startswith("TABLE ATTACH ")

    @property
    def system_rights(self) -> bool:
        """Whether it grants or revokes rights on what is PostgreSQL's own."""
        return self.text.startswith("ACL pg_catalog ")

    @property
    def last(self) -> bool:
        """Whether pg_restore leaves it to the end, since it may come in the way of others or reads what they make."""
        return self.text.startswith(
            ("ACL ", "DEFAULT ACL ", "EVENT TRIGGER ", "COMMENT - EVENT TRIGGER ", "SECURITY LABEL - EVENT TRIGGER ")
        ) or (self.catalogue == 0 and self.text.startswith("MATERIALIZED VIEW DATA "))


def parse(listing: str) -> list[Entry]:
    """What ``pg_restore --list --verbose`` prints."""
    found: list[Entry] = []
    for line in listing.splitlines():
        entry = re.match(r"(\d+); (\d+) \d+ (.*)", line)
        needs = re.match(r";\s+depends on:([ \d]+)", line)
        if entry:
            found.append(Entry(int(entry[1]), int(entry[2]), entry[3]))
        elif needs and found:
            last = found[-1]
            found[-1] = Entry(last.number, last.catalogue, last.text, tuple(map(int, needs[1].split())))
    return found


@dataclass(frozen=True)
class Order:
    """The numbers of an archive's entries in three groups, one to be restored after the other.

    ``plain`` says that pg_restore's own order will do.
    """

    schemas: tuple[int, ...]
    main: tuple[int, ...]
    late: tuple[int, ...]
    plain: bool


def order(entries: Sequence[Entry], superuser: bool = True) -> Order:
    """How to restore an archive. Only a ``superuser`` may set rights on what is PostgreSQL's own; others leave them."""
    chosen = [each for each in entries if superuser or not each.system_rights]
    sorted_ = _attached_downwards(chosen)
    late = _late(chosen)
    schemas = tuple(each.number for each in chosen if each.catalogue == _SCHEMA)
    return Order(
        schemas=schemas,
        main=tuple(each.number for each in sorted_ if each.number not in late and each.catalogue != _SCHEMA),
        late=tuple(each.number for each in sorted_ if each.number in late),
        plain=not late and sorted_ == list(entries),
    )


def _late(entries: Sequence[Entry]) -> set[int]:
    """What comes after the foreign keys: indexes that one of them might lean on instead, and what needs those."""
    indexes = {each.number: each for each in entries if each.index}
    leaned_on = {number for each in entries if each.foreign_key for number in each.needs if number in indexes}
    tables = {number for index in leaned_on for number in indexes[index].needs if number not in indexes}
    rivals = [each.number for each in indexes.values() if each.number not in leaned_on and tables & set(each.needs)]
    if not rivals:
        return set()
    return _with_dependents(entries, [*rivals, *(each.number for each in entries if each.last)])


def _with_dependents(entries: Sequence[Entry], numbers: Iterable[int]) -> set[int]:
    found = set(numbers)
    more = True
    while more:
        needing = {each.number for each in entries if each.number not in found and found & set(each.needs)}
        more = bool(needing)
        found |= needing
    return found


def _attached_downwards(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with those that attach partitions in an order in which parents come before their children."""
    needs = {each.number: each.needs for each in entries}
    attaching = [each for each in entries if each.attaches]
    parents: dict[int, int] = {}
    children: dict[int, int] = {}
    for each in attaching:
        child = next(number for number in each.needs if set(needs.get(number, ())) & set(each.needs))
        parents[child] = next(number for number in each.needs if number in needs[child])
        children[each.number] = child

    def depth(each: Entry) -> int:
        level, table = 0, children[each.number]
        while table in parents:
            level, table = level + 1, parents[table]
        return level

    downwards = iter(sorted(attaching, key=depth))
    return [next(downwards) if each.attaches else each for each in entries]
