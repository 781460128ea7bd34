# SPDX-License-Identifier: GPL-3.0-or-later
"""A database's tables as typed SQLAlchemy models, by sqlacodegen."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError

HEADING = '''"""The database's tables, as the migrations made them. Written by Slipway: a change here is lost."""

# ruff: noqa
'''
# What is the application's: no partition, nothing of an extension, nothing of Slipway and of the history.
TABLES = """
    SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
       AND nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'slipway') AND relname <> '_prisma_migrations'
       AND NOT EXISTS (
         SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
     ORDER BY 1, 2
"""
_UNKNOWN = re.compile(r"Did not recognize type '(.+)' of column '(.+)'")


@dataclass(frozen=True)
class Models:
    """Python source, and what it can't say of the database."""

    source: str
    tables: int
    remarks: tuple[str, ...]


def read_models(settings: Mapping[str, str]) -> Models:
    """Read the models of all tables and views of a database.

    ``settings`` are libpq's of the connection. The same schema always gives the same source. Raises SlipwayError where
    the packages are missing or the database can't be read.
    """
    try:
        from sqlacodegen.generators import DeclarativeGenerator
        from sqlalchemy import MetaData, create_engine, exc, text
    except ImportError as error:
        raise SlipwayError(
            f"The Python package {error.name} is not installed beside Ansible: install sqlacodegen and run again."
        ) from error
    url = url_of(settings)
    metadata = MetaData()
    engine = create_engine(url)
    # One that is not connected, since with psycopg2's way of writing parameters each % in an expression is doubled.
    writing = create_engine(url, paramstyle="named")
    try:
        with warnings.catch_warnings(record=True) as caught, engine.connect() as connection:
            warnings.simplefilter("always", exc.SAWarning)
            wanted: dict[str, set[str]] = {}
            for schema, name in connection.execute(text(TABLES)):
                wanted.setdefault(schema, set()).add(name)
            default = connection.dialect.default_schema_name
            for schema, names in wanted.items():
                metadata.reflect(
                    connection, schema=None if schema == default else schema, views=True, only=sorted(names),
                    extend_existing=True, resolve_fks=False,
                )  # fmt: skip
            left_out = without_expressions(metadata)
            # Without joined inheritance, for which it takes every table whose key refers to another one.
            source = DeclarativeGenerator(metadata, writing, ["nojoined"]).generate()
    except exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise SlipwayError(
            f"The schema of database {settings['dbname']} can't be read: {reason}; correct that and run again."
        ) from error
    finally:
        engine.dispose()
    found = remarks(str(each.message) for each in caught)
    return Models(HEADING + source, sum(map(len, wanted.values())), (*left_out, *found))


def without_expressions(metadata: Any) -> list[str]:
    """Take out the indexes on expressions, which sqlacodegen would write without them; a sentence about each."""
    found = []
    for table in metadata.tables.values():
        for index in [each for each in table.indexes if len(each.columns) < len(each.expressions)]:
            table.indexes.discard(index)
            found.append(f"Index {index.name} of table {table.fullname} is on an expression: it is not in the models.")
    return sorted(found)


def url_of(settings: Mapping[str, str]) -> Any:
    """libpq's settings as SQLAlchemy's URL, whose text does not show the password."""
    from sqlalchemy import URL

    named = {name: settings[name] for name in ("user", "password", "dbname") if name in settings}
    return URL.create(
        "postgresql+psycopg2",
        username=named.get("user"),
        password=named.get("password"),
        database=named.get("dbname"),
        query={name: value for name, value in settings.items() if name not in named},
    )


def remarks(warned: Iterable[str]) -> tuple[str, ...]:
    """What SQLAlchemy warned of that matters to whoever uses the models."""
    found = {_UNKNOWN.search(text) for text in warned}
    return tuple(
        sorted(
            f"Column {match[2]} is of type {match[1]}, which SQLAlchemy does not know: it has no type in the models."
            for match in found
            if match
        )
    )
