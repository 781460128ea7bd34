# SPDX-License-Identifier: GPL-3.0-or-later
"""Checksums over the contents of tables: the sum of the hashes of their rows, which is the same in any order.

Two methods. ``record`` (PostgreSQL 14 and newer) hashes a row as hash partitioning does, values of other types as
their text; ``text``, three times slower, hashes the text of the row. Both come to the same on every version that knows
them: a table that is partitioned by hash depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

RECORD, TEXT = "record", "text"
METHODS = (RECORD, TEXT)
# What a text may depend on, as pg_dump sets it.
SETTINGS = {
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "timezone": "UTC",
    "lc_monetary": "C",
    "xmloption": "content",
}
# Types whose hash differs when anything of a value does. That of 1.0 and 1.00 is the same, and those are not here.
_HASHED = """
    'bool', 'int2', 'int4', 'int8', 'oid', 'text', 'varchar', 'uuid', 'bytea',
    'date', 'time', 'timestamp', 'timestamptz'
"""
# Of each table its columns that are stored, and those that are generated, as expressions.
_COLUMNS = f"""
SELECT a.attrelid::regclass::text,
       string_agg(e.text, ', ' ORDER BY a.attname) FILTER (WHERE a.attgenerated = ''),
       string_agg(e.text, ', ' ORDER BY a.attname) FILTER (WHERE a.attgenerated <> '')
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
CROSS JOIN LATERAL (SELECT quote_ident(a.attname) || CASE
    WHEN t.typnamespace = 'pg_catalog'::regnamespace AND t.typname IN ({_HASHED}) THEN '' ELSE '::text' END) AS e (text)
WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ANY(%s::regclass[]) GROUP BY 1
"""
_LARGE_OBJECT = 1 << 22  # bytes of one that are read at once; a page of one is a quarter of a block
_LARGE_OBJECTS = """
SELECT coalesce(sum({hash}), 0) FROM (SELECT loid, max(pageno) AS last FROM pg_largeobject GROUP BY loid) AS one,
    generate_series(0, one.last::bigint * current_setting('block_size')::int / 4 / {chunk}) AS part,
    lo_get(one.loid, part * {chunk}, {chunk}) AS found (content)
"""


# Of what is stored of the rows, and of what is generated from that; '' where there is nothing of it.
Checksums = tuple[str, str]
LARGE_OBJECTS = "the large objects"  # as which they stand beside the tables


def best(server_version: int) -> str:
    """The method for a server of this version, by libpq's number."""
    return RECORD if server_version >= 140000 else TEXT


def set_up(cursor: Cursor) -> None:
    """Have values print in one way until the transaction ends."""
    cursor.execute(
        "SELECT set_config(name, value, true) FROM unnest(%s, %s) AS s (name, value)",
        [list(SETTINGS), list(SETTINGS.values())],
    )


def read(cursor: Cursor, names: Sequence[str], method: str = "") -> tuple[dict[str, int], dict[str, Checksums]]:
    """Count the rows of tables, named as SQL, and by a ``method`` add up what is in them; in one pass over each.

    Without a method there are no checksums.
    """
    columns: Mapping[str, tuple[str | None, str | None]] = {}
    if method:
        set_up(cursor)
        cursor.execute(_COLUMNS, [list(names)])
        columns = {name: (stored, generated) for name, stored, generated in cursor.fetchall()}
    selects = []
    for number, name in enumerate(names):
        sums = (f"coalesce(sum({_hash(method, each)}), 0)" if each else "''" for each in columns.get(name, ("", "")))
        selects.append(f"SELECT {number}, count(*), {', '.join(f'({each})::text' for each in sums)} FROM ONLY {name}")
    cursor.execute(" UNION ALL ".join(selects))  # whose parts come in any order
    rows: dict[str, int] = {}
    contents: dict[str, Checksums] = {}
    for number, count, stored, generated in sorted(cursor.fetchall()):
        rows[names[number]], contents[names[number]] = count, (stored, generated)
    return rows, contents if method else {}


def large_objects(cursor: Cursor, method: str) -> str:
    """The checksum over all large objects; '' where the role may not read them all."""
    cursor.execute("SELECT has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')")
    if cursor.fetchone() != (True,):
        return ""
    content = "found.content" if method == RECORD else "md5(found.content)"
    cursor.execute(_LARGE_OBJECTS.format(hash=_hash(method, f"one.loid, part, {content}"), chunk=_LARGE_OBJECT))
    return str((cursor.fetchone() or ("",))[0])


def _hash(method: str, columns: str) -> str:
    row = f"ROW({columns})"
    return f"hash_record_extended({row}, 0)" if method == RECORD else f"hashtextextended({row}::text, 0)"
