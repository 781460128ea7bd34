# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL that turns one schema into another, in an order that PostgreSQL accepts.

First goes what is in the way and holds nothing (views, triggers, constraints, indexes …), then is made and changed what
is to be, and last goes what is wanted no more. An object that can't be changed in place is dropped and made anew, along
with all that needs it and holds nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal
from ansible_collections.slipway.deploy.plugins.module_utils._wanted import statements as sql
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Key, Parts, Schema

# In which order objects are made where no need tells it.
_ORDER = (
    "schema", "extension", "type", "sequence", "table", "column", "default", "constraint", "index", "statistics object",
    "view", "function", "trigger", "rule", "policy", "comment",
)  # fmt: skip
_FOREIGN_KEY = _ORDER.index("function") + 0.5
# What depends on a column such that PostgreSQL refuses to give it another type.
_IN_THE_WAY = ("view", "rule", "policy", "trigger", "function")
_INLINE = ("p", "u", "c", "x")  # constraints that CREATE TABLE takes along


def derive(before: Schema, after: Schema, again: bool = False) -> list[str]:
    """The statements, without semicolons. What can't be derived is left out.

    ``again``: ``before`` is what such statements have made already, and what is left of the rights on what was made
    anew, or of what came from a parent, is derived too.
    """
    return _Derivation(before, after, again).statements()


class _Derivation:
    def __init__(self, before: Schema, after: Schema, again: bool) -> None:
        self.before, self.after, self.again = before, after, again
        old, new = before.parts, after.parts
        self.gone = {key for key in old if key not in new and not self._incidental(old, key)}
        self.new = {key for key in new if key not in old and not self._incidental(new, key)}
        self.changed = {key for key in new if key in old and self._differs(key) and not self._incidental(new, key)}
        self.rebuilt = {key for key in self.changed if self._to_rebuild(key)}
        self.retyped = {
            key
            for key in new
            if key in old and key[0] == "column" and not self._incidental(new, key) and self._is_retyped(key)
        }
        self.replaced = {key for key in self.changed - self.rebuilt if self._to_replace(key)}
        self._close()

    def _incidental(self, parts: Mapping[Key, Parts], key: Key) -> bool:
        """Whether it comes and goes with something else, and never by itself."""
        made = parts[key]
        if key[0] == "default":
            return True  # of its column's definition
        if key[0] == "index" and made["constraint"]:
            return True
        if key[0] == "sequence" and made["internal"]:
            return not (key in self.before.parts and key in self.after.parts)
        return bool(made.get("inherited")) and not self.again

    def _differs(self, key: Key) -> bool:
        if key[0] == "sequence" and self.before.parts[key]["internal"] != self.after.parts[key]["internal"]:
            return False  # it is another column's kind of number, and made with that
        return self.before.texts.get(key) != self.after.texts.get(key)

    def _to_rebuild(self, key: Key) -> bool:
        """Whether an enumeration must be made anew beside the old one: labels go or move, or a new one is used at once.

        PostgreSQL refuses to use a label in the transaction that has added it.
        """
        old, new = self.before.parts[key], self.after.parts[key]
        if key[0] != "type" or (old["type"], new["type"]) != ("e", "e"):
            return False
        labels = [label for label in new["labels"] or [] if label not in (old["labels"] or [])]
        if sql.new_labels(old["labels"] or [], new["labels"] or []) is None:
            return True
        used = [f"{literal(label)}::{key[1]}" for label in labels]
        texts = [text for each, text in self.after.texts.items() if self.before.texts.get(each) != text]
        return any(each in text for each in used for text in texts)

    def _is_retyped(self, key: Key) -> bool:
        old, new = self.before.parts[key], self.after.parts[key]
        return (old["type"], old["collation"]) != (new["type"], new["collation"]) or self._of_rebuilt(key)

    def _of_rebuilt(self, key: Key) -> bool:
        new = self.after.parts[key]
        return any(("type", new[name]) in self.rebuilt for name in ("base", "element"))

    def _to_replace(self, key: Key) -> bool:
        old, new = self.before.parts[key], self.after.parts[key]
        if key[0] == "column":
            return (old["generated"], old["expression"]) != (new["generated"], new["expression"]) and bool(
                new["generated"]
            )
        return sql.alter(key, old, new) is None and sql.makeable(key, new)

    def _close(self) -> None:
        """Add what needs something that goes, and must therefore be made anew."""
        needed_by: dict[Key, set[Key]] = {}
        for key, needs in self.before.needs.items():
            for each in needs:
                needed_by.setdefault(each, set()).add(key)
        todo = [*self.gone, *self.replaced, *self.rebuilt, *self.retyped]
        while todo:
            key = todo.pop()
            goes = key in self.gone or key in self.replaced or key in self.rebuilt
            for each in needed_by.get(key, ()):
                if each in self.gone or each in self.replaced or each not in self.after.parts or each[0] == "comment":
                    continue
                made = self.before.parts[each]
                hollow = each[0] in sql.HOLLOW or (each[0] == "column" and made["generated"])
                if hollow and (goes or self._in_the_way(each, key)) and not made.get("inherited"):
                    self.replaced.add(each)
                    todo.append(each)
                elif each[0] == "index" and made["constraint"] and goes:
                    todo.append(each)  # of a constraint that is made anew

    def _in_the_way(self, key: Key, column: Key) -> bool:
        """Whether a column can't get its new type while this depends on it."""
        made = self.before.parts[key]
        if key[0] in _IN_THE_WAY or key[0] == "column" or self._of_rebuilt(column):
            return key[0] != "default"
        types = {self.before.parts[column]["base"], self.after.parts[column]["base"]}
        return key[0] == "constraint" and made["type"] == "f" and len(types) > 1 and not types <= sql.INTEGERS

    def statements(self) -> list[str]:
        """All of it, in order."""
        early = {key for key in self.gone if key[0] in sql.HOLLOW and key[0] not in ("function", "comment")}
        names = {name for kind, name in self.new if kind in ("table", "view", "sequence", "index")}
        early |= {key for key in self.gone if key[0] in ("table", "sequence") and key[1] in names}
        early |= self.replaced
        late = {key for key in self.gone - early if key[0] != "comment"}
        found = self._drops(early) + self._creations()
        for key in sorted(self.gone):
            if key[0] == "comment" and tuple(self.before.parts[key].get("of", ())) not in self.gone | self.replaced:
                found += self._drop(key)
        found += [f"DROP TYPE {self._aside(name)}" for _, name in sorted(self.rebuilt)]
        found += self._drops(late)
        return found + (self._rights() if self.again else [])

    # What goes

    def _drops(self, keys: set[Key]) -> list[str]:
        goes_along = {key for key in self.gone | self.replaced if self._goes_along(key)}
        along: dict[Key, set[Key]] = {}  # what is needed by what goes with something may go only after that
        for key in goes_along:
            made = self.before.parts[key]
            for container in (
                ("table", made.get("table", "")),
                ("view", made.get("table", "")),
                ("column", made.get("column") or ""),
            ):
                along.setdefault(container, set()).update(self.before.needs[key] - goes_along)
        order = _sorted(keys - goes_along, lambda key: self.before.needs[key] | along.get(key, set()), self._place)
        return [each for key in reversed(order) for each in self._drop(key)]

    def _drop(self, key: Key) -> list[str]:
        return sql.drop(key, self.before.parts[key])

    def _goes_along(self, key: Key) -> bool:
        """Whether it goes with something that is dropped as a whole."""
        made = self.before.parts[key]
        goes = self.gone | self.replaced
        if key[0] == "sequence":
            table = made["column"] and sql.split_column(made["column"])[0]
            return bool(made["column"]) and bool({("column", made["column"]), ("table", table)} & goes)
        table = made.get("table")
        if key[0] == "constraint" and made["type"] == "f" and made["target"] != table:
            both = {("table", made["target"]), ("table", table)}
            if both <= goes:
                return False  # each of two tables may refer to the other
        if table and {("table", table), ("view", table)} & goes:
            return True
        if key[0] == "default":
            return ("column", made["column"]) in goes
        columns = {each for each in self.before.needs[key] if each[0] == "column"}
        parts = ("index", "constraint", "statistics object")
        return (
            key[0] in parts
            and key in self.gone
            and any(each in self.gone and self.before.parts[each]["table"] == table for each in columns)
        )

    # What is made

    def _creations(self) -> list[str]:
        keys = {
            key
            for key in self.new | self.replaced | self.changed | self.retyped
            if key[0] in _ORDER and (key in self.after.parts)
        }
        serials = {key for key in keys if key in self.new and self._is_serial(key)}
        nodes: dict[Key, set[Key]] = {}
        for key in keys - serials:
            nodes.setdefault(self._node(key), set()).add(key)
        owner = {key: node for node, of in nodes.items() for key in of}

        def needs(node: Key) -> set[Key]:
            found = {owner[each] for key in nodes[node] for each in self._needs(key) if each in owner}
            return found - {node}

        made: list[str] = []
        for node in _sorted(set(nodes), needs, self._place):
            made += self._create_node(node, nodes[node])
        made += [
            sql.owned_by(key[1], self.after.parts[key])
            for key in sorted(self.new - serials)
            if key[0] == "sequence" and self.after.parts[key]["column"] and not self.after.parts[key]["internal"]
        ]
        return made

    def _needs(self, key: Key) -> Iterable[Key]:
        """What must be there first; of a column, also what its default needs, but not its own sequence's tie to it."""
        if key[0] == "sequence":
            return (each for each in self.after.needs[key] if each[0] not in ("column", "table"))
        found = set(self.after.needs[key])
        if key[0] == "column":
            found |= self.after.needs.get(("default", key[1]), frozenset())
        return found

    def _node(self, key: Key) -> Key:
        """Together with what it is made."""
        made = self.after.parts[key]
        table = ("table", made.get("table", ""))
        if table in self.new and (key[0] == "column" or (key[0] == "constraint" and made["type"] in _INLINE)):
            return table
        if key[0] == "default" and ("column", key[1]) in self.new | self.replaced | self.changed | self.retyped:
            return ("column", key[1])
        return key

    def _place(self, key: Key) -> tuple[float, Any]:
        made = self.after.parts[key] if key in self.after.parts else self.before.parts[key]
        if key[0] == "constraint" and made["type"] == "f":
            return (_FOREIGN_KEY, key[1])
        return (_ORDER.index(key[0]), (made["table"], made["number"]) if key[0] == "column" else (key[1], 0))

    def _is_serial(self, key: Key) -> bool:
        made = self.after.parts[key]
        column = ("column", made.get("column"))
        return key[0] == "sequence" and column in self.new and bool(self._serial(column))

    def _sequence(self, column: Key) -> Key | None:
        """The sequence that belongs to a column."""
        return next(
            (key for key, made in self.after.parts.items() if key[0] == "sequence" and made["column"] == column[1]),
            None,
        )

    def _serial(self, column: Key) -> str:
        """The pseudo-type that makes a new column with its sequence, if one does."""
        made = self.after.parts[column]
        key = self._sequence(column)
        if key is None or key not in self.new or made["default"] != f"nextval({literal(key[1])}::regclass)":
            return ""
        return sql.is_serial(made, column[1], self.after.parts[key]) if key[1] == self._usual_name(column) else ""

    def _usual_name(self, column: Key) -> str:
        """The name that PostgreSQL gives to a column's sequence."""
        table, own = sql.split_column(column[1])
        schema, name = sql.split_column(table)
        plain = "".join(each.strip('"') for each in (name, "_", own, "_seq"))
        quoted = '"' in name + own
        return f'{schema}."{plain}"' if quoted else f"{schema}.{plain}"

    def _column(self, key: Key) -> Parts:
        """A column's parts with what they mean here."""
        made = dict(self.after.parts[key])
        base = made["base"].removesuffix("[]")
        made["enum"] = self.after.parts.get(("type", base), {}).get("type") == "e"
        made["rebuilt"] = self._of_rebuilt(key)
        if made["identity"]:
            sequence = self._sequence(key)
            if sequence:
                made["sequence"] = self.after.parts[sequence]
                made["sequence_name"] = sequence[1]
        return made

    def _create_node(self, node: Key, keys: set[Key]) -> list[str]:
        if node[0] == "table" and node in self.new:
            return self._create_table(node, keys)
        if node[0] == "column":
            return self._make_column(node)
        made = self.after.parts[node]
        if node in self.rebuilt:
            name = self._aside(sql.split_column(node[1])[1])
            return [f"ALTER TYPE {node[1]} RENAME TO {name}", *sql.create(node, made)]
        if node in self.new or node in self.replaced:
            if node[0] == "default":
                made = {**made, "default": self.after.parts[node]["default"]}
            return sql.create(node, made)
        return sql.alter(node, self.before.parts[node], made) or []

    def _make_column(self, key: Key) -> list[str]:
        made = self._column(key)
        if key in self.new or key in self.replaced:
            head = f"ALTER TABLE {made['table']}"
            details = [f"{head} {each}" for each in sql.column_details(made)]
            return [f"{head} ADD COLUMN {sql.column(made, self._serial(key) if key in self.new else '')}", *details]
        before = self.before.parts[key]
        taken_over = self._takes_over_sequence(key, before, made)
        if taken_over:
            return taken_over
        if ("default", key[1]) in self.replaced:
            before = {**before, "default": None}
        return sql.alter_column(before, made, key in self.retyped)

    def _takes_over_sequence(self, key: Key, before: Parts, made: Parts) -> list[str]:
        """What makes an identity of a serial column or the reverse, where the sequence keeps its name; else nothing."""
        sequence = self._sequence(key)
        if not sequence or sequence not in self.before.parts or bool(made["identity"]) == bool(before["identity"]):
            return []
        at = f"ALTER TABLE {made['table']} ALTER COLUMN {made['column']}"
        number = f"coalesce(max({made['column']}), 0) + 1"
        goes_on = f"SELECT setval({literal(sequence[1])}, {number}, false) FROM {made['table']}"
        if made["identity"]:
            changed = sql.alter_column({**before, "default": None}, made, key in self.retyped)
            return [f"{at} DROP DEFAULT", f"DROP SEQUENCE {sequence[1]}", *changed, goes_on]
        parts = self.after.parts[sequence]
        changed = sql.alter_column(before, {**made, "default": None}, key in self.retyped)
        default = [f"{at} SET DEFAULT {made['default']}"] if made["default"] else []
        return [*changed, *sql.create(sequence, parts), *default, sql.owned_by(sequence[1], parts), goes_on]

    def _create_table(self, node: Key, keys: set[Key]) -> list[str]:
        made = self.after.parts[node]
        columns = sorted((key for key in keys if key[0] == "column"), key=self._place)
        order = "puxc"
        constraints = sorted(
            (self.after.parts[key] for key in keys if key[0] == "constraint"),
            key=lambda each: (order.index(each["type"]), each["constraint"]),
        )
        described = [self._column(key) for key in columns]
        found = sql.create_table(
            node[1],
            made,
            [sql.column(each, self._serial(key)) for key, each in zip(columns, described)],
            [f"CONSTRAINT {each['constraint']} {each['definition']}" for each in constraints],
        )
        details = [f"ALTER TABLE {node[1]} {detail}" for each in described for detail in sql.column_details(each)]
        return [*found, *details] if found else []

    @staticmethod
    def _aside(name: str) -> str:
        """The name that an enumeration has while another takes its place."""
        return f'{name[:-1]}_before"' if name.endswith('"') else f"{name}_before"

    # Rights

    def _rights(self) -> list[str]:
        found: list[str] = []
        for kind, name in self.before.differs(self.after):
            if kind == "rights on":
                old = set(filter(None, self.before.texts.get((kind, name), "").split(", ")))
                new = set(filter(None, self.after.texts.get((kind, name), "").split(", ")))
                what, _, role = name.rpartition(" for ")
                object_ = self._granted(what)
                if object_:
                    found += _grants(object_, role, old - new, new - old)
        return found

    def _granted(self, what: str) -> tuple[str, str] | None:
        """What a right is on, as GRANT takes it, and a column's name where it is on one."""
        known = self.before.parts
        for kind, word in (("function", "ROUTINE "), ("schema", "SCHEMA "), ("type", "TYPE ")):
            name = what[len(kind) + 1 :]
            if what.startswith(f"{kind} ") and (kind, name) in known:
                return word + name, ""
        for kind, word in (("table", ""), ("view", ""), ("sequence", "SEQUENCE ")):
            if (kind, what) in known:
                return word + what, ""
        if ("column", what) in known:
            table, column = sql.split_column(what)
            return table, f" ({column})"
        return None


def _grants(object_: tuple[str, str], role: str, lost: set[str], won: set[str]) -> list[str]:
    what, column = object_
    found = [f"REVOKE {each.rstrip('*')}{column} ON {what} FROM {role}" for each in sorted(lost)]
    for each in sorted(won):
        more = " WITH GRANT OPTION" if each.endswith("*") else ""
        found.append(f"GRANT {each.rstrip('*')}{column} ON {what} TO {role}{more}")
    return found


def _sorted(keys: set[Key], needs: Callable[[Key], Iterable[Key]], place: Callable[[Key], Any]) -> list[Key]:
    """The keys, each after what it needs; by their place where that leaves a choice, or where they need each other."""
    left = {key: {each for each in needs(key) if each in keys and each != key} for key in keys}
    needed_by: dict[Key, list[Key]] = {}
    for key, needed in left.items():
        for each in needed:
            needed_by.setdefault(each, []).append(key)
    ready = [(place(key), key) for key, needed in left.items() if not needed]
    heapq.heapify(ready)
    order: list[Key] = []
    while left:
        if not ready:
            stuck = min(left, key=lambda key: (len(left[key]), place(key)))
            ready.append((place(stuck), stuck))
        _, key = heapq.heappop(ready)
        if key not in left:
            continue
        del left[key]
        order.append(key)
        for each in needed_by.get(key, ()):
            if each in left:
                left[each].discard(key)
                if not left[each]:
                    heapq.heappush(ready, (place(each), each))
    return order
