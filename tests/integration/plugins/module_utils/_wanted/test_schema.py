# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema is read with what its objects need."""

from __future__ import annotations

from contextlib import closing

from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Key, Schema, read
from conftest import Postgres
from support.wanted_changes import SQL


def of(postgres: Postgres, *statements: str) -> Schema:
    database = postgres.database()
    for each in statements:
        postgres.execute(each, database)
    with closing(postgres.connect(database)) as connection, connection.cursor() as cursor:
        return read(cursor)


def test_objects_need_each_other(postgres: Postgres) -> None:
    found = of(
        postgres,
        SQL,
        "CREATE FUNCTION half(n users) RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE VIEW h AS SELECT "
        "half(users) FROM users",
        "ALTER TABLE users ADD twice integer GENERATED ALWAYS AS (score * 2) STORED",
    )
    needs: dict[Key, set[Key]] = {
        ("view", "public.h"): {("table", "public.users"), ("function", "public.half(public.users)")},
        ("function", "public.half(public.users)"): {("table", "public.users")},
        ("trigger", "public.teams.touched"): {("table", "public.teams"), ("function", "public.touch()")},
        ("constraint", "public.users.users_team_id_fkey"): {
            ("table", "public.users"), ("column", "public.users.team_id"),
            ("column", "public.teams.id"), ("index", "public.teams_pkey"),
        },
        ("column", "public.users.mood"): {("table", "public.users"), ("type", "public.mood")},
        ("column", "public.users.twice"): {("table", "public.users"), ("column", "public.users.score")},
        ("default", "public.users.id"): {("column", "public.users.id"), ("sequence", "public.users_id_seq")},
        ("comment", "view public.members"): {("view", "public.members")},
    }  # fmt: skip
    for key, expected in needs.items():
        assert found.needs[key] >= expected, key
        assert found.needs[key] - expected <= {("schema", "public"), ("table", "public.users")}, key


def test_what_is_the_environments_is_no_part_of_it(postgres: Postgres) -> None:
    found = of(
        postgres,
        SQL,
        "CREATE SCHEMA slipway; CREATE TABLE slipway.t (); CREATE TABLE _prisma_migrations (id int PRIMARY KEY)",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
    )
    assert found.differs(of(postgres, SQL)) == []
    assert not [key for key in found.parts if "slipway" in key[1] or "_prisma" in key[1]]
