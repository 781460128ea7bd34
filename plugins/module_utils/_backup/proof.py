# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of a backup: what a restored copy must have in common with its source, and how it differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.slipway.deploy.plugins.module_utils._backup.checksums import LARGE_OBJECTS, Checksums
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import (
    Manifest,
    Reading,
    SequenceValue,
    compared,
)
from ansible_collections.slipway.deploy.plugins.module_utils._text import listed


def row_differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """One phrase for each table whose number of rows is not the expected one."""
    return [
        f"{table} has {_rows(found, table)} instead of {_rows(expected, table)}"
        for table in sorted({*expected, *found})
        if expected.get(table) != found.get(table)
    ]


def _rows(tables: Mapping[str, int], table: str) -> str:
    return f"{tables[table]:,} rows" if table in tables else "no such table"


def sequence_differences(
    before: Mapping[str, SequenceValue], after: Mapping[str, SequenceValue], found: Mapping[str, SequenceValue]
) -> list[str]:
    """One phrase for each sequence that stands where it can't have stood while the dump was made.

    Sequences belong to no snapshot: the dump holds where they stood when pg_dump came to them. That is somewhere
    between a reading before the dump and one after it, and exactly there when both agree.
    """
    phrases = []
    for name in sorted({*before, *found}):
        if name not in before or name not in found:
            phrases.append(f"sequence {name} is {'missing' if name in before else 'not in the source'}")
            continue
        ends = (before[name], after.get(name, before[name]))
        allowed = sorted({end.last for end in ends})
        stood_still = ends[0] == ends[1]
        if found[name] != ends[0] if stood_still else not allowed[0] <= found[name].last <= allowed[-1]:
            phrases.append(f"sequence {name} stands at {found[name].last} instead of {' to '.join(map(str, allowed))}")
    return phrases


def object_differences(expected: Mapping[tuple[str, str], str], found: Mapping[tuple[str, str], str]) -> list[str]:
    """One phrase for each object that is missing, is too many, or is defined otherwise."""
    phrases = []
    for key in sorted({*expected, *found}):
        label = " ".join(key)
        if key not in found:
            phrases.append(f"{label} is missing")
        elif key not in expected:
            phrases.append(f"{label} is not in the source")
        elif expected[key] != found[key] and compared(key[0], expected[key]) != compared(key[0], found[key]):
            phrases.append(f"{label} is defined otherwise: {otherwise(expected[key], found[key])}")
    return phrases


def otherwise(expected: str, found: str, most: int = 120) -> str:
    """Two definitions side by side, without what they begin with in common where they are long."""
    if max(len(expected), len(found)) > most:
        same = next((at for at, pair in enumerate(zip(expected, found)) if len(set(pair)) > 1), 0)
        begin = max(0, same - most // 3)
        expected, found = (f"{'…' if begin else ''}{text[begin:]}" for text in (expected, found))
    shown = (f"{text[:most]}…" if len(text) > most else text for text in (expected, found))
    return "{!r} in the source, {!r} in the copy".format(*(" ".join(text.split()) for text in shown))


def kind_differences(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """One phrase for each kind of object of which there are more or fewer than expected."""
    return [
        f"{found.get(kind, 0)} of kind {kind} instead of {expected.get(kind, 0)}"
        for kind in sorted({*expected, *found})
        if expected.get(kind, 0) != found.get(kind, 0)
    ]


def content_differences(
    expected: Mapping[str, Checksums], found: Mapping[str, Checksums]
) -> tuple[list[str], list[str]]:
    """Phrases about what differs in what is stored, and about tables of which only what is generated does.

    What has no checksum on one side is not compared.
    """
    stored, generated = [], []
    for name in sorted(expected.keys() & found.keys()):
        (before, computed), (now, again) = expected[name], found[name]
        if before and now and before != now:
            stored.append(f"{name} {'hold' if name == LARGE_OBJECTS else 'holds'} other values")
        elif computed and again and computed != again:
            generated.append(f"the generated columns of {name} are computed otherwise")
    return stored, generated


def restored_differences(manifest: Manifest, found: Reading) -> list[str]:
    """How the data of a restored copy differ from what a backup's manifest says of them."""
    rows = row_differences(manifest.tables, found.tables)
    return [
        *rows,
        *([] if rows else content_differences(manifest.checksums, found.contents)[0]),
        *sequence_differences(manifest.sequence_values, manifest.sequence_values, found.sequences),
    ]


def same_words(manifest: Manifest, found: Reading) -> bool:
    """Whether the schema of a restored copy can be compared with what a backup's manifest says of it.

    A server of another major version, and another Slipway, may describe the same schema in other words.
    """
    return manifest.schema_digest.split(":")[0] == found.words


def schema_differences(manifest: Manifest, found: Reading) -> list[str]:
    """How the schema of a restored copy differs from what a backup's manifest says of it, if that can be compared."""
    computed = content_differences(manifest.checksums, found.contents)[1]
    if not same_words(manifest, found) or manifest.schema_digest == found.digest:
        return computed
    schema = kind_differences(manifest.objects, found.kinds) or ["an object of the schema is defined otherwise"]
    return schema + computed


def not_as_it_was(database: str, phrases: Sequence[str]) -> str:
    """The sentences about a database whose rows a restore brings back but not all of its schema."""
    return (
        f"A restored copy of database {database!r} has all of its rows, but is not otherwise as it was: "
        f"{listed(list(phrases))}. PostgreSQL restores one table after another, with an empty search_path and later "
        "than the rows were written, so that what depends on more than its own row may fail."
    )
