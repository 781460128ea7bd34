# SPDX-License-Identifier: GPL-3.0-or-later
"""The history's table is Prisma's, and what can't be read or written of it is told."""

from __future__ import annotations

import hashlib

import pytest
from support.migrations import Bed


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_history_table_is_prismas(bed: Bed) -> None:
    bed.write("1_a", "")
    bed.migrate()
    columns = bed.sql(
        "SELECT column_name, data_type, character_maximum_length, is_nullable, column_default "
        "FROM information_schema.columns WHERE table_name = '_prisma_migrations' ORDER BY ordinal_position"
    )
    timestamp = "timestamp with time zone"
    assert columns == [
        ("id", "character varying", 36, "NO", None),
        ("checksum", "character varying", 64, "NO", None),
        ("finished_at", timestamp, None, "YES", None),
        ("migration_name", "character varying", 255, "NO", None),
        ("logs", "text", None, "YES", None),
        ("rolled_back_at", timestamp, None, "YES", None),
        ("started_at", timestamp, None, "NO", "now()"),
        ("applied_steps_count", "integer", None, "NO", "0"),
    ]
    assert bed.rows() == [("1_a", sha256(""), True, False, 1, False)]


def test_default_privileges_give_nobody_the_history(bed: Bed) -> None:
    role = f"app_{bed.database}"
    bed.sql(f"CREATE ROLE {role}; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}, PUBLIC")
    bed.write("1_a", "CREATE TABLE a ()")
    bed.migrate()
    rights = bed.sql(
        "SELECT DISTINCT privilege_type FROM pg_class, aclexplode(relacl) "
        "WHERE relname = '_prisma_migrations' AND grantee <> relowner"
    )
    assert rights == [("SELECT",)]
    assert bed.sql(f"SELECT has_table_privilege('{role}', 'a', 'INSERT')") == [(True,)]


def test_a_role_without_rights(bed: Bed) -> None:
    role = f"reader_{bed.database}"
    bed.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{bed.postgres.password}'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    bed.write("1_a", "CREATE TABLE a ()")
    bed.user = role
    assert bed.fails().startswith(
        "The role may not write the history of migrations in schema 'public' (permission denied"
    )
    bed.user = "postgres"
    bed.migrate()
    bed.user = role
    assert bed.fails().startswith("The role may not read the history public._prisma_migrations (permission denied")
    bed.sql(f"GRANT SELECT ON _prisma_migrations TO {role}")
    assert bed.migrate()["status"] == "up_to_date"
    bed.write("2_b", "CREATE TABLE b ()")
    assert bed.fails().startswith(
        "The role may not write the history of migrations in schema 'public' (permission denied"
    )


def test_a_table_that_is_not_prismas(bed: Bed) -> None:
    bed.sql("CREATE TABLE _prisma_migrations (x int)")
    bed.write("1_a", "CREATE TABLE a ()")
    assert bed.fails().startswith("The table public._prisma_migrations is not Prisma's history of migrations (column ")


HISTORY_CHANGED = [
    "CREATE TABLE a (); VACUUM a; DELETE FROM _prisma_migrations",
    "CREATE TABLE a (); VACUUM a; UPDATE _prisma_migrations SET rolled_back_at = now()",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
    "CREATE TRIGGER t BEFORE INSERT ON _prisma_migrations FOR EACH ROW EXECUTE FUNCTION f()",
]


@pytest.mark.parametrize("sql", HISTORY_CHANGED)
def test_nothing_is_kept_whose_row_can_not_be_written(bed: Bed, sql: str) -> None:
    bed.write("1_a", sql + "; CREATE TABLE b ()")
    assert "its row in _prisma_migrations can not be written: somebody else changed the history" in bed.fails()
    assert "b" not in bed.tables()


def test_row_security_on_the_history_is_no_empty_history(bed: Bed) -> None:
    bed.write("1_a", "CREATE TABLE a ()")
    bed.migrate()
    bed.sql(f"CREATE ROLE {bed.database}_plain LOGIN PASSWORD '{bed.postgres.password}'")
    bed.sql(f"GRANT ALL ON _prisma_migrations TO {bed.database}_plain")
    bed.sql("ALTER TABLE _prisma_migrations ENABLE ROW LEVEL SECURITY")
    bed.user = f"{bed.database}_plain"
    assert (
        bed.fails()
        == "Row security on the history public._prisma_migrations hides rows from the role: run as its owner."
    )


def test_one_more_column_of_the_history_is_nobodys_business(bed: Bed) -> None:
    bed.write("1_a", "ALTER TABLE _prisma_migrations ADD shout text GENERATED ALWAYS AS (upper(migration_name)) STORED")
    bed.write("2_b", "CREATE TABLE b ()")
    bed.migrate()
    bed.write("3_c", "CREATE TABLE c ()")
    bed.migrate()
    assert bed.sql("SELECT shout FROM _prisma_migrations ORDER BY 1") == [("1_A",), ("2_B",), ("3_C",)]
