# SPDX-License-Identifier: GPL-3.0-or-later
"""What a comparison of two schemas can't know, and what a change between them costs: sentences for who reviews it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction, rewrites
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Key, Parts, Schema
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.statements import split_column

_WIDER = {"smallint": ("integer", "bigint", "numeric"), "integer": ("bigint", "numeric"), "bigint": ("numeric",)}
_BREAKS = {
    "p": "two rows share a value or one has none",
    "u": "two rows share a value",
    "x": "two rows exclude each other",
    "c": "a row does not meet it",
    "f": "a row refers to what is not there",
}


def losses(before: Schema, after: Schema) -> list[Destruction]:
    """What may lose data where there are rows."""
    gone_tables = _gone(before, after, "table")
    found = [Destruction("", f"drops the table {name}", "table", name) for _, name in gone_tables]
    for key in _gone(before, after, "column"):
        made = before.parts[key]
        if ("table", made["table"]) not in gone_tables and not made["generated"]:
            found.append(_of_column(made, f"drops the column {key[1]}"))
    for key, old, new in _both(before, after, "column"):
        if new["generated"] and not old["generated"]:
            found.append(_of_column(old, f"replaces the values of the column {key[1]} by generated ones"))
        elif old["type"] != new["type"] and not _fits(old, new):
            found.append(_of_column(old, f"casts the column {key[1]} from {old['type']} to {new['type']}"))
    return found


def _of_column(made: Parts, what: str) -> Destruction:
    column = made["column"]
    plain = column[1:-1].replace('""', '"') if column.startswith('"') else column
    return Destruction("", what, "column", made["table"], plain)


def _fits(old: Parts, new: Parts) -> bool:
    """Whether every value of the old type is one of the new."""
    if old["base"] == new["base"]:
        return not rewrites(old["type"], new["type"])
    return new["type"] == "text" or new["type"] in _WIDER.get(old["base"], ())


def remarks(before: Schema, after: Schema) -> list[str]:
    """What is to be known of a change before it is applied, a sentence each."""
    found = [*_renames(before, after)]
    found += [f"This {each.what}: its data is lost." for each in losses(before, after) if each.what.startswith("drop")]
    found += _columns(before, after)
    for key in _new(before, after, "constraint"):
        made = after.parts[key]
        if ("table", made["table"]) in before.parts and not made.get("inherited"):
            found.append(f"The constraint {key[1]} fails where {_BREAKS[made['type']]}.")
    for key in _new(before, after, "index"):
        made = after.parts[key]
        if made["unique"] and not made["constraint"] and ("table", made["table"]) in before.parts:
            found.append(f"The index {key[1]} fails where {_BREAKS['u']}.")
    for key, old, new in _both(before, after, "type"):
        labels = [label for label in old["labels"] or [] if label not in (new["labels"] or [])]
        if labels and new["labels"]:
            said = ", ".join(map(literal, labels))
            found.append(
                f"The type {key[1]} loses {said}: this fails where a row has that value; change such rows first."
            )
    return found


def _columns(before: Schema, after: Schema) -> Iterator[str]:
    for key in _new(before, after, "column"):
        made = after.parts[key]
        filled = made["default"] is not None or made["generated"] or made["identity"]
        if ("table", made["table"]) in before.parts and made["notnull"] and not filled and not made["inherited"]:
            yield (
                f"The column {key[1]} is NOT NULL without a default, which fails where its table has rows: give it a "
                "default, or add it without NOT NULL, fill it, and then set NOT NULL."
            )
    for key, old, new in _both(before, after, "column"):
        if new["notnull"] and not old["notnull"] and not new["identity"]:
            yield f"The column {key[1]} becomes NOT NULL, which fails where a row has no value: fill such rows first."
        if old["type"] != new["type"] and not _fits(old, new):
            yield (
                f"The column {key[1]} changes from {old['type']} to {new['type']}: every row is cast, which fails "
                f"where a "
                "value does not fit and may lose a part of it: say by USING how it is to be converted."
            )


def _renames(before: Schema, after: Schema) -> Iterator[str]:
    """A rename looks like one that goes and one that comes."""
    for _, gone in _gone(before, after, "table"):
        for _, come in _new(before, after, "table"):
            columns = [_columns_of(schema, name) for schema, name in ((before, gone), (after, come))]
            if 2 * len(columns[0] & columns[1]) > max(map(len, columns)):
                yield (
                    f"The table {gone} goes and {come} comes, with much the same columns: if it is renamed, write "
                    f"instead "
                    f"ALTER TABLE {gone} RENAME TO {split_column(come)[1]}."
                )
    for key in _gone(before, after, "column"):
        old = before.parts[key]
        for other in _new(before, after, "column"):
            new = after.parts[other]
            if (old["table"], old["base"]) == (new["table"], new["base"]):
                yield (
                    f"The column {key[1]} goes and {new['column']} comes, both {new['base']}: if it is renamed, write "
                    f"instead ALTER TABLE {old['table']} RENAME COLUMN {old['column']} TO {new['column']}."
                )


def _columns_of(schema: Schema, table: str) -> set[tuple[str, str]]:
    return {
        (made["column"], made["base"])
        for key, made in schema.parts.items()
        if key[0] == "column" and made["table"] == table
    }


def _gone(before: Schema, after: Schema, kind: str) -> Sequence[Key]:
    return sorted(key for key in before.parts if key[0] == kind and key not in after.parts)


def _new(before: Schema, after: Schema, kind: str) -> Sequence[Key]:
    return _gone(after, before, kind)


def _both(before: Schema, after: Schema, kind: str) -> Iterator[tuple[Key, Parts, Parts]]:
    for key in sorted(before.parts):
        if key[0] == kind and key in after.parts:
            yield key, before.parts[key], after.parts[key]
