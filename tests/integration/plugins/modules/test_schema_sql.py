# SPDX-License-Identifier: GPL-3.0-or-later
"""The schema as a file: what it makes in another database is the same schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import Postgres
from support.modules import run_ansible

SCHEMA = """
    CREATE TABLE _prisma_migrations (id text);
    CREATE SCHEMA slipway;
    CREATE TABLE slipway.own (id int);
    CREATE SCHEMA "Other";
    CREATE TYPE "Other".mood AS ENUM ('fine', 'so so');
    CREATE TABLE orders (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood "Other".mood, note text CHECK (note <> ''));
    CREATE INDEX ON orders (lower(note)) WHERE mood = 'fine';
    CREATE VIEW notes AS SELECT note FROM orders;
    CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f();
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON orders USING (id > 0);
    COMMENT ON TABLE orders IS 'What was bought;';
"""


def test_from_nothing_to_a_change_of_the_schema(postgres: Postgres, tmp_path: Path) -> None:
    database, copy = postgres.database(), postgres.database()
    postgres.execute(SCHEMA, database)
    file = tmp_path / "schema.sql"

    def schema(database: str, file: Path, *flags: str) -> dict[str, Any]:
        options = {**postgres.login(database), "path": str(file), "bindir": str(postgres.bindir)}
        return run_ansible("slipway.deploy.schema_sql", options, tmp_path, *flags)

    would = schema(database, file, "--check")
    assert (would["changed"], would["current"], file.exists()) == (True, False, False)
    assert schema(database, file)["actions"] == [f"Wrote the schema to {file}."]
    assert not schema(database, file, "--check")["changed"]
    assert not schema(database, file)["changed"]
    assert not {"slipway", "prisma", "SET", "OWNER", "restrict"} & set(file.read_text().partition("\n")[2].split())

    postgres.execute(file.read_text(), copy)
    other = tmp_path / "copy.sql"
    schema(copy, other)
    assert other.read_text() == file.read_text()

    postgres.execute("ALTER TABLE orders ADD price int", database)
    assert schema(database, file)["changed"]
    assert "price integer" in file.read_text()


def test_a_database_that_is_not_there(postgres: Postgres, tmp_path: Path) -> None:
    options = {**postgres.login("no_such"), "path": str(tmp_path / "schema.sql"), "bindir": str(postgres.bindir)}
    assert "no_such" in run_ansible("slipway.deploy.schema_sql", options, tmp_path)["msg"]
    assert not (tmp_path / "schema.sql").exists()
