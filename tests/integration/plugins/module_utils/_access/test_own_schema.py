# SPDX-License-Identifier: GPL-3.0-or-later
"""Slipway's schema is its owner's alone, whatever default privileges give to others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._access.own_schema import (
    close_to_others,
    make_own_schema,
    read_only_for_others,
)
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor

RIGHTS = """
    SELECT coalesce(nullif(grantee, 0)::regrole::text, 'PUBLIC'),
           string_agg(privilege_type, ' ' ORDER BY privilege_type)
      FROM {} WHERE grantee <> {} GROUP BY 1 ORDER BY 1
"""
OF_SCHEMA = RIGHTS.format("pg_namespace, aclexplode(nspacl)", "nspowner AND nspname = 'slipway'")
OF_TABLE = RIGHTS.format("pg_class, aclexplode(relacl)", "relowner AND oid = 'slipway.t'::regclass")


@pytest.fixture
def cursor(postgres: Postgres) -> Iterator[Cursor]:
    """A database whose default privileges are as generous as can be."""
    opened = postgres.connect(postgres.database())
    with opened.cursor() as cursor:
        cursor.execute(
            """
            DO $$ BEGIN CREATE ROLE "own schema's %s"; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
            ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO "own schema's %s", PUBLIC;
            ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO "own schema's %s", PUBLIC;
            """
        )
        yield cursor
    opened.close()


def rows(cursor: Cursor, query: str) -> list[tuple[str, str]]:
    cursor.execute(query)
    return [(role, rights) for role, rights in cursor.fetchall()]


def test_nobody_else_enters_the_schema(cursor: Cursor) -> None:
    make_own_schema(cursor)
    assert rows(cursor, OF_SCHEMA) == []
    cursor.execute('GRANT USAGE ON SCHEMA slipway TO "own schema\'s %s"')
    make_own_schema(cursor)  # what was given since is somebody's decision
    assert rows(cursor, OF_SCHEMA) == [('"own schema\'s %s"', "USAGE")]


def test_others_only_read_a_table_where_they_were_let_in(cursor: Cursor) -> None:
    make_own_schema(cursor)
    cursor.execute("CREATE TABLE slipway.t ()")
    assert len(rows(cursor, OF_TABLE)) == 2
    assert "DELETE INSERT" in rows(cursor, OF_TABLE)[0][1]
    read_only_for_others(cursor, "slipway.t")
    assert rows(cursor, OF_TABLE) == [('"own schema\'s %s"', "SELECT"), ("PUBLIC", "SELECT")]
    close_to_others(cursor, "slipway.t")
    assert rows(cursor, OF_TABLE) == []
