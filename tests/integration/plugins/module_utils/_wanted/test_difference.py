# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for objects of every kind, in an order that PostgreSQL accepts."""

from __future__ import annotations

from contextlib import closing

from ansible_collections.slipway.deploy.plugins.module_utils._wanted.difference import derive
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Schema, read
from conftest import Postgres
from support.schema_changes import SCHEMA

# Kinds, and some single objects, that are told and not derived.
NOT_DERIVED = {
    "access method", "cast", "collation", "conversion", "event trigger", "foreign-data wrapper", "language", "operator",
    "operator class", "operator family", "publication", "rights on", "server", "text search configuration",
    "text search dictionary", "text search parser", "text search template", "transform", "user mapping for",
}  # fmt: skip
SINGLE = {("column", "public.abroad.id"), ("function", "public.total(integer)"), ("table", "public.abroad")}


def test_a_schema_of_every_kind_from_nothing_and_back(postgres: Postgres) -> None:
    full, empty = postgres.database(), postgres.database()
    postgres.execute(SCHEMA, full)

    def schema(database: str) -> Schema:
        with closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
            return read(cursor)

    wanted, nothing = schema(full), schema(empty)
    postgres.execute(";".join(derive(nothing, wanted)), empty)
    left = {key for key in schema(empty).differs(wanted) if key[0] not in NOT_DERIVED}
    assert left == SINGLE
    again = derive(schema(empty), wanted, again=True)
    assert again == ["GRANT SELECT (name) ON public.users TO pg_monitor"]
    postgres.execute(";".join(derive(schema(empty), nothing)), empty)
    assert schema(empty).differs(nothing) == []
    assert derive(wanted, wanted) == []
