# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import psycopg
import pytest
from sqlalchemy import create_engine

from autotest.models import Base
from conftest import HISTORY, MIGRATIONS, MIGRATIONS_DIR, Server, migrate

# Everything that the models say about the database: columns, constraints, indexes and enums.
CATALOGUE = """
SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
       concat_ws(' ', a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL
SELECT 'index', tablename, indexname, '', indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT 'enum', t.typname, e.enumlabel, '', (rank() OVER (PARTITION BY t.oid ORDER BY e.enumsortorder))::text
FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
ORDER BY 1, 2, 3
"""
BEFORE, AFTER = MIGRATIONS[:4], MIGRATIONS[4:]
TABLES = {
    "users", "teams", "team_members", "team_settings", "github_tokens", "builds", "test_runs", "scheduled_tests",
    "releases",
}  # fmt: skip

ROWS = """
INSERT INTO users (email, name, password_hash) VALUES ('ada@example.org', 'Ada', '!');
INSERT INTO teams (slug, name, created_at) VALUES ('red', 'Red', '2025-01-02'), ('blue', 'Blue', '2025-03-04');
INSERT INTO team_members (team_id, user_id, role) VALUES (1, 1, 'owner');
INSERT INTO team_settings (team_id) VALUES (1);
INSERT INTO github_tokens (team_id, encrypted_token, hint, created_by) VALUES (1, 'sealed', '1234', 1);
INSERT INTO builds (team_id, workflow_run_id, branch, commit_sha, status, created_at)
SELECT 1, nullif(n, 40), 'main', lpad(to_hex(n), 7, '0'), 'passed', '2025-07-01'::timestamptz + n * interval '1 hour'
FROM generate_series(1, 40) AS n;
INSERT INTO test_runs (build_id, suite, passed) SELECT id, 'unit', 10 FROM builds;
"""


@pytest.fixture
def empty(server: Server) -> psycopg.Connection:
    with server.connect(server.create_database()) as connection:
        connection.execute(HISTORY)
        yield connection


def count(connection: psycopg.Connection) -> dict[str, int]:
    tables = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    found = {}
    for name in set(tables) - {"_prisma_migrations"}:
        row = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
        found[name] = row[0] if row else 0
    return found


def one(connection: psycopg.Connection, query: str) -> object:
    row = connection.execute(query).fetchone()
    assert row
    return row[0]


def test_there_are_eight_and_nine_tables(sql: psycopg.Connection) -> None:
    assert len(MIGRATIONS) == 8
    assert set(count(sql)) == TABLES


@pytest.mark.parametrize("name", MIGRATIONS)
def test_statements_can_be_split_naively(name: str) -> None:
    """Some of Prisma's drivers split a file at every semicolon, also at one in a comment or a string."""
    text = (MIGRATIONS_DIR / name / "migration.sql").read_text()
    assert all(line.endswith(";") for line in text.splitlines() if ";" in line)
    assert not re.search(r"--.*;|\bCONCURRENTLY\b|\bSET search_path\b", text)


def test_models_equal_the_schema(server: Server, sql: psycopg.Connection) -> None:
    name = server.create_database()
    engine = create_engine("postgresql+psycopg://", creator=lambda: server.connect(name))
    Base.metadata.create_all(engine)
    engine.dispose()
    with server.connect(name) as models:
        told = set(models.execute(CATALOGUE))
    found = {row for row in sql.execute(CATALOGUE) if "_prisma_migrations" not in row[1]}
    assert len(found) > 100
    assert found == told


def test_later_migrations_keep_the_rows(empty: psycopg.Connection) -> None:
    migrate(empty, BEFORE)
    empty.execute(ROWS)
    before = count(empty)
    migrate(empty, AFTER)
    assert count(empty) == before | {"releases": 0, "scheduled_tests": 0}
    assert one(empty, "SELECT array_agg(DISTINCT framework::text) FROM test_runs") == ["unknown"]


def test_every_migration_keeps_the_rows(empty: psycopg.Connection) -> None:
    migrate(empty, MIGRATIONS[:1])
    empty.execute(ROWS)
    before = count(empty)
    for name in MIGRATIONS[1:]:
        migrate(empty, [name])
        now = count(empty)
        assert {table: now[table] for table in before} == before, name


def test_the_newest_of_two_builds_keeps_their_run(empty: psycopg.Connection) -> None:
    migrate(empty, MIGRATIONS[:1])
    empty.execute(ROWS)
    # 41 is as old as build 7 and has the higher id, 42 is older than build 8 in spite of its id, 43 has no twin
    empty.execute(
        "INSERT INTO builds (team_id, workflow_run_id, branch, commit_sha, created_at) VALUES"
        " (1, 7, 'main', 'abcdef0', '2025-07-01 07:00Z'), (1, 8, 'main', 'abcdef0', '2025-01-01'),"
        " (1, NULL, 'main', 'abcdef0', '2025-01-01')"
    )
    empty.execute("UPDATE builds SET created_at = '2025-07-01 07:00Z' WHERE id = 7")
    migrate(empty, MIGRATIONS[1:2])
    kept = list(empty.execute("SELECT id, workflow_run_id FROM builds WHERE id IN (7, 8, 41, 42, 43) ORDER BY id"))
    assert kept == [(7, None), (8, 8), (41, 7), (42, None), (43, None)]
    assert one(empty, "SELECT count(*) FROM builds WHERE workflow_run_id IS NOT NULL") == 39
    with pytest.raises(psycopg.errors.UniqueViolation):
        empty.execute("INSERT INTO builds (team_id, workflow_run_id, branch, commit_sha) VALUES (1, 7, 'm', 'abcdef0')")


def test_an_old_token_is_as_old_as_its_team(empty: psycopg.Connection) -> None:
    migrate(empty, MIGRATIONS[:2])
    empty.execute(ROWS)
    migrate(empty, MIGRATIONS[2:3])
    assert one(empty, "SELECT t.created_at = g.created_at FROM github_tokens g JOIN teams t ON t.id = g.team_id")
    empty.execute("INSERT INTO github_tokens (team_id, encrypted_token, hint) VALUES (2, 'sealed', '5678')")
    assert one(empty, "SELECT created_at > now() - interval '1 minute' FROM github_tokens WHERE team_id = 2")


def test_run_numbers_may_pass_32_bits(empty: psycopg.Connection) -> None:
    migrate(empty, MIGRATIONS[:3])
    empty.execute(ROWS)
    large = "UPDATE builds SET workflow_run_id = 16612000431 WHERE id = 5"
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        empty.execute(large)
    migrate(empty, MIGRATIONS[3:4])
    empty.execute(large)
    assert one(empty, "SELECT sum(workflow_run_id) FROM builds") == 39 * 40 // 2 - 5 + 16612000431


@pytest.mark.parametrize(
    ("deletion", "left"),
    [
        ("DELETE FROM teams", {"users": 1}),
        (
            "DELETE FROM users",
            dict.fromkeys(TABLES, 1) | {"users": 0, "team_members": 0},
        ),
        ("DELETE FROM builds", dict.fromkeys(TABLES, 1) | {"builds": 0, "test_runs": 0}),
    ],
)
def test_what_a_deletion_takes_with_it(sql: psycopg.Connection, deletion: str, left: dict[str, int]) -> None:
    sql.execute(
        """
        INSERT INTO users (email, name, password_hash) VALUES ('ada@example.org', 'Ada', '!');
        INSERT INTO teams (slug, name) VALUES ('red', 'Red');
        INSERT INTO team_members (team_id, user_id) VALUES (1, 1);
        INSERT INTO team_settings (team_id) VALUES (1);
        INSERT INTO github_tokens (team_id, encrypted_token, hint, created_by) VALUES (1, 'sealed', '1234', 1);
        INSERT INTO builds (team_id, branch, commit_sha, created_by) VALUES (1, 'main', 'abcdef0', 1);
        INSERT INTO test_runs (build_id, suite) VALUES (1, 'unit');
        INSERT INTO releases (team_id, build_id, version, released_by) VALUES (1, 1, '1.0', 1);
        INSERT INTO scheduled_tests (team_id, name, suite, cron, created_by) VALUES (1, 'n', 's', '0 2 * * *', 1);
        """
    )
    sql.execute(deletion)
    assert {table: rows for table, rows in count(sql).items() if rows} == {k: v for k, v in left.items() if v}
