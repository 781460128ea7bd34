# SPDX-License-Identifier: GPL-3.0-or-later
"""What migrations need of a server, and what is said of one that lacks it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.script import parse
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.server_needs import ICU, embedded_problem

NEEDS = [
    ('CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public', ["uuid-ossp"]),
    ("-- CreateExtension\nCREATE EXTENSION citext; CREATE EXTENSION pg_trgm", ["citext", "pg_trgm"]),
    ("DO $$ BEGIN CREATE EXTENSION pgcrypto; EXCEPTION WHEN duplicate_object THEN NULL; END $$", ["pgcrypto"]),
    ("DO $$ BEGIN EXECUTE format('CREATE EXTENSION %I', 'hstore'); END $$", ["hstore"]),
    ("CREATE TABLE t (a text COLLATE \"en-x-icu\")", [ICU]),
    ("CREATE COLLATION c (provider = icu, locale = 'und-u-ks-level2', deterministic = false)", [ICU]),
    ("CREATE COLLATION c (provider = 'icu', locale = 'und')", [ICU]),
    ("CREATE INDEX ON t (a COLLATE \"und-x-icu\")", [ICU]),
    ("SELECT 'CREATE EXTENSION x', 'icu' -- CREATE EXTENSION y", []),
    ("DROP EXTENSION x; COMMENT ON EXTENSION y IS 'z'; ALTER EXTENSION z UPDATE", []),
    ("CREATE COLLATION c (provider = libc, locale = 'icu')", []),
    ("CREATE TABLE icu (a text COLLATE \"C\")", []),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), NEEDS)
def test_needs(sql: str, expected: list[str]) -> None:
    assert [each.what for each in parse(sql.encode(), "f").needs] == expected


LACKS = "which embedded PostgreSQL lacks (it has plpgsql and vector, and no ICU): deploy to an environment "


def test_an_embedded_server_that_lacks_something(tmp_path: Path) -> None:
    def problem(*extensions: str) -> str:
        files = read(str(tmp_path), "migrations")
        return embedded_problem([each.name for each in files.migrations], files.scripts, extensions)

    def write(name: str, sql: str) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "migration.sql").write_text(sql)

    write("2_c", "SELECT 1;\nCREATE EXTENSION citext;")
    assert problem().startswith(f"migrations/2_c/migration.sql:2:1 needs the extension 'citext', {LACKS}")
    write("1_a", "CREATE EXTENSION vector; CREATE EXTENSION pgcrypto;")
    told = problem()
    assert told.startswith(f"migrations/1_a/migration.sql:1:26 needs the extension 'pgcrypto', {LACKS}")
    assert told.endswith("; for gen_random_uuid() alone no extension is needed since PostgreSQL 13.")
    write("0_i", 'CREATE TABLE t (a text COLLATE "de-x-icu")')
    assert problem().startswith(f"migrations/0_i/migration.sql:1:1 needs a collation of ICU, {LACKS}")
    assert problem("vector", "postgis").startswith(f"app_extensions names the extension 'postgis', {LACKS}")
    for name in ("0_i", "1_a", "2_c"):
        (tmp_path / name / "migration.sql").write_text("CREATE EXTENSION vector")
    assert problem("vector", "plpgsql") == ""
