# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables with their columns and what these refer to: as much of a schema as a picture of it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ansible_collections.slipway.deploy.plugins.module_utils._access.rights import HISTORY, SCHEMAS, of_extension

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# Nobody finds his way in a picture of more.
MOST = 200

_RELATIONS = f"""
    SELECT n.nspname || '.' || c.relname,
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                       'name', attname, 'type', pg_catalog.format_type(atttypid, atttypmod), 'required', attnotnull,
                       'key', coalesce(attnum = ANY (key.conkey), false)) ORDER BY attnum)
              FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
           (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                       'columns', (SELECT pg_catalog.json_agg(attname ORDER BY place)
                                     FROM pg_catalog.unnest(f.conkey) WITH ORDINALITY AS part (number, place)
                                     JOIN pg_catalog.pg_attribute ON attrelid = c.oid AND attnum = number),
                       'table', to_schema.nspname || '.' || target.relname) ORDER BY f.conname)
              FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class target ON target.oid = f.confrelid
              JOIN pg_catalog.pg_namespace to_schema ON to_schema.oid = target.relnamespace
             WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.conparentid = 0)
    FROM pg_catalog.pg_class c JOIN ({SCHEMAS}) n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_constraint key ON key.conrelid = c.oid AND key.contype = 'p'
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> %s
      AND NOT {of_extension("'pg_catalog.pg_class'::regclass", "c.oid")}
    ORDER BY 1 LIMIT %s
"""


@dataclass(frozen=True)
class Column:
    """A column with its type as SQL, whether it is NOT NULL, and whether it is part of the primary key."""

    name: str
    type: str
    required: bool = False
    key: bool = False


@dataclass(frozen=True)
class Reference:
    """A foreign key: these columns refer to that table, ``schema.name``."""

    columns: list[str]
    table: str


@dataclass(frozen=True)
class Relation:
    """A table, ``schema.name``, with its columns in their order and its foreign keys."""

    table: str
    columns: list[Column] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)


def relations(cursor: Cursor, most: int = MOST) -> list[Relation] | None:
    """The application's tables in order of their names, without partitions; None where there are more than ``most``."""
    cursor.execute(_RELATIONS, [HISTORY, most + 1])
    found = cursor.fetchall()
    if len(found) > most:
        return None
    return [
        Relation(table, [Column(**each) for each in columns or []], [Reference(**each) for each in references or []])
        for table, columns, references in found
    ]
