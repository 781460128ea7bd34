# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture of the schema shows, read from the server."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.module_utils._schema.relations import (
    Column,
    Reference,
    Relation,
    relations,
)
from conftest import Postgres


def test_tables_with_columns_and_foreign_keys(postgres: Postgres) -> None:
    opened = postgres.connect(postgres.database())
    with opened.cursor() as cursor:
        assert relations(cursor) == []
        cursor.execute(
            """
            CREATE TABLE _prisma_migrations (id text);
            CREATE TABLE "team ""a"" b" (id int, region text, gone int, PRIMARY KEY (region, id));
            ALTER TABLE "team ""a"" b" DROP COLUMN gone;
            CREATE SCHEMA shop;
            CREATE TABLE shop.member (id bigserial PRIMARY KEY, team int, region varchar(3) NOT NULL,
                chief bigint REFERENCES shop.member,
                FOREIGN KEY (region, team) REFERENCES "team ""a"" b" (region, id));
            CREATE TABLE shop.event (at date) PARTITION BY RANGE (at);
            CREATE TABLE shop.event_rest PARTITION OF shop.event DEFAULT;
            CREATE TABLE shop.nothing ();
            CREATE VIEW shop.look AS SELECT 1;
            """
        )
        assert relations(cursor) == [
            Relation('public.team "a" b', [Column("id", "integer", True, True), Column("region", "text", True, True)]),
            Relation("shop.event", [Column("at", "date")]),
            Relation(
                "shop.member",
                [
                    Column("id", "bigint", True, True),
                    Column("team", "integer"),
                    Column("region", "character varying(3)", True),
                    Column("chief", "bigint"),
                ],
                [Reference(["chief"], "shop.member"), Reference(["region", "team"], 'public.team "a" b')],
            ),
            Relation("shop.nothing"),
        ]
        assert relations(cursor, most=3) is None
        assert len(relations(cursor, most=4) or []) == 4
    opened.close()
