# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of any database as classes that SQLAlchemy maps, without anything that the application says of them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import Column, Engine, MetaData, Table, and_, bindparam, func, select, text
from sqlalchemy.orm import registry
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.selectable import FromClause
from sqlalchemy.types import NullType, UserDefinedType

HISTORY = "_prisma_migrations"
HIDDEN = re.compile(r"pg_|information_schema$|slipway$")
KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}
# Where rows have no key of their own: the place of a row in its table, which its next change may move.
PLACE = ("tableoid", "ctid")
NUMBER = "row number"
LISTED = """
    SELECT n.nspname, c.relname, c.relkind, c.reltuples::bigint, coalesce(obj_description(c.oid, 'pg_class'), '')
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname !~ '^pg_'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
     ORDER BY n.nspname <> 'public', n.nspname, c.relname
"""


class Unknown(UserDefinedType[Any]):
    """A type of which the server alone knows what its values are: they are text here, and go there as it reads them."""

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        return "text"


@dataclass(frozen=True)
class Link:
    """A foreign key: ``columns`` of a table mean the row of ``target`` that has the same in ``referred``."""

    columns: tuple[str, ...]
    target: Mapped
    referred: tuple[str, ...]


@dataclass
class Mapped:
    """One table, as the studio knows it. ``name`` is unique and fit for an address."""

    name: str
    label: str
    schema: str
    kind: str
    rows: int
    comment: str
    model: type
    columns: Sequence[str]
    keys: Sequence[str]
    writable: bool
    links: list[Link] = field(default_factory=list)
    referred_by: list[tuple[Mapped, Link]] = field(default_factory=list)

    @property
    def keyless(self) -> bool:
        return not set(self.keys) <= set(self.columns)

    @property
    def counted(self) -> bool:
        """Whether its rows have no key but their number in one query, so that none can be shown alone."""
        return self.keys[0] == NUMBER

    def link_of(self, column: str) -> Link | None:
        """The first foreign key that a column is part of."""
        return next((link for link in self.links if column in link.columns), None)


def slug(schema: str, name: str, taken: set[str]) -> str:
    """A name for addresses, of lower-case letters, digits and underscores."""
    plain = re.sub(r"\W", "_", name if schema == "public" else f"{schema}-{name}", flags=re.ASCII).lower()
    found, number = plain, 1
    while found in taken:
        number += 1
        found = f"{plain}_{number}"
    taken.add(found)
    return found


def reflect(engine: Engine) -> list[Mapped]:
    """Every table and view of the application."""
    metadata = MetaData()
    with engine.connect() as connection:
        listed = [row for row in connection.execute(text(LISTED)).all() if not HIDDEN.match(row[0])]
        # Names in definitions have their schemas, then.
        connection.execute(text("SET LOCAL search_path = pg_catalog"))
        with warnings.catch_warnings():  # of types that SQLAlchemy does not know
            warnings.simplefilter("ignore")
            for schema in dict.fromkeys(row[0] for row in listed):
                metadata.reflect(connection, schema=schema, views=True, resolve_fks=False)
    taken: set[str] = set()
    mapper = registry()
    found: dict[tuple[str, str], Mapped] = {}
    for schema, name, kind, rows, comment in listed:
        table = metadata.tables.get(f"{schema}.{name}")
        if table is not None and len(table.columns):
            found[schema, name] = map_table(mapper, table, KINDS[kind], rows, comment, slug(schema, name, taken))
    for (schema, name), mapped in found.items():
        for key in metadata.tables[f"{schema}.{name}"].foreign_key_constraints:
            parts = [element.target_fullname.rsplit(".", 1) for element in key.elements]
            target = next((each for (s, n), each in found.items() if f"{s}.{n}" == parts[0][0]), None)
            if target is not None:
                columns = tuple(element.parent.name for element in key.elements)
                link = Link(columns, target, tuple(column for _table, column in parts))
                mapped.links.append(link)
                target.referred_by.append((mapped, link))
    return list(found.values())


def map_table(mapper: registry, table: Table, kind: str, rows: int, comment: str, name: str) -> Mapped:
    """Map one table; what has no key gets one that holds as long as nobody changes the row."""
    columns = [column.name for column in table.columns]
    for column in table.columns:
        if isinstance(column.type, NullType):
            column.type = Unknown()
    source: FromClause = table
    keys: list[Any] = list(table.primary_key.columns)
    if not keys and kind in ("table", "materialized view"):
        keys = [Column(place, Unknown(), quote=False) for place in PLACE]
        for column in keys:
            table.append_column(column)
    elif not keys:  # counted anew in each query
        number = func.row_number().over().label(NUMBER)
        source = select(number, *table.columns).subquery(table.name)
        keys = [source.c[NUMBER]]
    model = type(re.sub(r"\W", "_", name), (), {"__str__": lambda self: name})
    model.__name__ = name
    mapper.map_imperatively(model, source, primary_key=keys)
    schema = table.schema or "public"
    writable = kind == "table" and table.name != HISTORY and bool(table.primary_key.columns)
    label = table.name if schema == "public" else f"{schema}.{table.name}"
    return Mapped(name, label, schema, kind, rows, comment, model, columns, [column.name for column in keys], writable)


# A row's key in an address


def key_text(values: Sequence[Any]) -> str:
    """A row's key in an address, where nothing in it has another meaning, whoever decodes it and how often."""
    return ";".join(quote(as_text(value), safe="").replace("~", "%7E").replace("%", "~") for value in values)


def as_text(value: Any) -> str:
    """A value as PostgreSQL reads it."""
    if isinstance(value, (bytes, memoryview)):
        return "\\x" + bytes(value).hex()
    return str(value)


def condition(model: type, keys: Sequence[str], identifier: str) -> ColumnElement[bool]:
    """The row of a key; the server reads each value as its column's type. ValueError for a key of another length."""
    values = [unquote(part.replace("~", "%")) for part in identifier.split(";")]
    return same(model, dict(zip(keys, values, strict=True)))


def same(model: type, values: Mapping[str, str]) -> ColumnElement[bool]:
    """Rows whose columns have these values, given as text."""
    return and_(*(getattr(model, name).op("=", is_comparison=True)(literal(value)) for name, value in values.items()))


def literal(value: str) -> ColumnElement[Any]:
    """A value whose type the server finds out."""
    return bindparam(None, value, type_=Unknown())
