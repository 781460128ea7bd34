# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of backup and restore share: a way to run a module, a hard schema, programs that go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import Postgres
from psycopg2 import sql

ROOT = Path(__file__).parents[2]
MODULES = "ansible_collections.slipway.deploy.plugins.modules"


def run_module(name: str, arguments: dict[str, object], prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run a module as Ansible does, in a process of its own, and return its result; ``prefix`` starts the process."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", f"{MODULES}.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip(), done.stderr
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    assert "test-superuser" not in done.stdout + done.stderr
    return found


@dataclass
class Site:
    """One application's database and directory of backups."""

    postgres: Postgres
    database: str
    directory: Path
    environment: str = "test"

    @property
    def common(self) -> dict[str, object]:
        return {
            **self.postgres.login(self.database),
            "bindir": str(self.postgres.bindir),
            "directory": str(self.directory),
            "application": "autotest",
            "environment_name": self.environment,
        }

    def backup(self, *, check: bool = False, prefix: tuple[str, ...] = (), **more: object) -> dict[str, Any]:
        return run_module("backup", {**self.common, "_ansible_check_mode": check, **more}, prefix)

    def restore(self, *, check: bool = False, **more: object) -> dict[str, Any]:
        return run_module("restore", {**self.common, "_ansible_check_mode": check, **more})

    def info(self, **more: object) -> dict[str, Any]:
        return run_module("backup_info", {"directory": str(self.directory), **more})

    def files(self) -> list[str]:
        return sorted(path.name for path in self.directory.iterdir()) if self.directory.exists() else []

    def databases(self) -> list[object]:
        """Every database that was made from this one."""
        rows = self.postgres.execute("SELECT datname FROM pg_database ORDER BY 1")
        return [name for (name,) in rows if str(name).startswith(self.database) and name != self.database]

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        return self.postgres.execute(statement, self.database)


def schema_dump(postgres: Postgres, database: str) -> list[str]:
    """The schema as pg_dump prints it, with owners and rights: a path of its own to what a database is."""
    done = subprocess.run(
        [str(postgres.bindir / "pg_dump"), "--schema-only", f"--dbname=dbname='{database}'"],
        env={
            **os.environ,
            "PGHOST": str(postgres.socket_dir),
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if "restrict" not in line]


def contents(postgres: Postgres, database: str) -> dict[str, object]:
    """Every table's rows as one value each, without the order of columns, which pg_dump changes in inheriting ones."""
    opened = postgres.connect(database)
    try:
        with opened.cursor() as cursor:
            cursor.execute(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_type = 'BASE TABLE' AND table_schema !~ '^(pg_|information_schema)' ORDER BY 1, 2"
            )
            found: dict[str, object] = {}
            for schema, table in cursor.fetchall():
                cursor.execute(
                    sql.SQL(
                        "SELECT md5(string_agg(to_jsonb(t)::text, '|' ORDER BY to_jsonb(t)::text)) FROM {} t"
                    ).format(sql.Identifier(schema, table))
                )
                found[f"{schema}.{table}"] = cursor.fetchall()[0][0]
            return found
    finally:
        opened.close()


# Everything that has ever made a dump differ from its source, in one schema.
HARD_SCHEMA = '''
CREATE EXTENSION vector;
CREATE SCHEMA "Zwölf ""Affen""" AUTHORIZATION bk_owner;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE pair AS (a int, b text);
CREATE TYPE span AS RANGE (subtype = numeric);
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email varchar(200) NOT NULL UNIQUE,
    state varchar(10) DEFAULT 'new' CHECK (state IN ('new', 'old', 'gone')),
    level int CHECK (level IN (1, 2, -3)),
    feeling mood DEFAULT 'ok', share percent, both_ pair,
    lower_email text GENERATED ALWAYS AS (lower(email)) STORED,
    tags text[] DEFAULT ARRAY[]::text[], born timestamptz DEFAULT now(), embedding vector(3));
INSERT INTO users (email, state, embedding) SELECT 'u' || g || '@x', 'new', '[1,2,3]' FROM generate_series(1, 500) g;
COMMENT ON COLUMN users.email IS 'it''s unique';
CREATE TABLE "Zwölf ""Affen"""."tab le" ("co l" serial PRIMARY KEY, "WHERE" text COLLATE "C");
INSERT INTO "Zwölf ""Affen"""."tab le" ("WHERE") VALUES ('a'), (NULL), (E'\\\\N\\n');
CREATE TABLE egg (id int PRIMARY KEY, hen int);
CREATE TABLE hen (id int PRIMARY KEY, egg int NOT NULL REFERENCES egg DEFERRABLE INITIALLY DEFERRED);
ALTER TABLE egg ADD CONSTRAINT egg_hen FOREIGN KEY (hen) REFERENCES hen DEFERRABLE INITIALLY DEFERRED;
BEGIN; INSERT INTO egg VALUES (1, 1); INSERT INTO hen VALUES (1, 1); COMMIT;
CREATE UNLOGGED TABLE scratch_pad (x int); INSERT INTO scratch_pad VALUES (1), (2);
CREATE TABLE event (at date NOT NULL, user_id bigint REFERENCES users, note text, PRIMARY KEY (at, user_id))
    PARTITION BY RANGE (at);
CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE event_rest PARTITION OF event DEFAULT;
CREATE INDEX event_note ON event (note);
INSERT INTO event VALUES ('2024-05-05', 1, 'a'), ('2030-01-01', 2, 'b');
CREATE TABLE mention (at date, user_id bigint, FOREIGN KEY (at, user_id) REFERENCES event);
CREATE TABLE parent (a int); CREATE TABLE child (c int) INHERITS (parent); ALTER TABLE parent ADD b int;
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 2, 3);
CREATE TABLE narrowed (a int, gone int, b int); ALTER TABLE narrowed DROP gone;
CREATE TABLE secret (owner name DEFAULT current_user, x int); INSERT INTO secret VALUES ('bk_app', 1), ('other', 2);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY; ALTER TABLE secret FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON secret FOR SELECT TO bk_app USING (owner IN ('bk_app', 'all') AND x > -1);
CREATE VIEW active AS SELECT u.*, (u.state IN ('new', 'old')) AS live FROM users u WHERE u.level IS DISTINCT FROM 3;
CREATE MATERIALIZED VIEW stale AS SELECT count(*) AS n FROM users;
CREATE MATERIALIZED VIEW unfilled AS SELECT id FROM users WITH NO DATA;
CREATE UNIQUE INDEX ON stale (n);
CREATE INDEX ON users (lower(email)) WHERE state IN ('new', 'old');
CREATE INDEX ON users USING hnsw (embedding vector_l2_ops);
CREATE STATISTICS correlated ON state, level FROM users;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS
    $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION twice(i int DEFAULT 2, VARIADIC rest int[] DEFAULT '{}') RETURNS int LANGUAGE sql
    BEGIN ATOMIC SELECT i * 2 WHERE i IN (1, 2, 3); END;
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW WHEN (OLD.state IN ('new', 'old')) EXECUTE FUNCTION touch();
CREATE TRIGGER touch BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE users DISABLE TRIGGER touch;
CREATE RULE no_delete AS ON DELETE TO egg WHERE OLD.id IN (7, 8) DO INSTEAD NOTHING;
CREATE SEQUENCE down INCREMENT -5 MINVALUE -1000 MAXVALUE 0; SELECT nextval('down'), nextval('down');
CREATE SEQUENCE untouched START 42;
CREATE SEQUENCE around MAXVALUE 3 CYCLE;
SELECT lo_create(4711); SELECT lo_put(4711, 0, 'large');
REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC;
ALTER TABLE users OWNER TO bk_owner; ALTER TABLE event OWNER TO bk_owner; ALTER VIEW active OWNER TO bk_owner;
ALTER TYPE mood OWNER TO bk_owner; ALTER FUNCTION touch() OWNER TO bk_owner;
GRANT SELECT, INSERT ON users TO bk_app WITH GRANT OPTION; GRANT UPDATE (state) ON users TO bk_app;
GRANT USAGE ON SEQUENCE down TO bk_app; GRANT SELECT ON secret TO bk_app; REVOKE EXECUTE ON FUNCTION twice FROM PUBLIC;
GRANT USAGE ON SCHEMA "Zwölf ""Affen""" TO bk_app;
ALTER DEFAULT PRIVILEGES FOR ROLE bk_owner IN SCHEMA public GRANT SELECT ON TABLES TO bk_app;
UPDATE users SET state = 'old' WHERE id < 10; DELETE FROM users WHERE id > 490;
'''


def roles(postgres: Postgres) -> None:
    """The roles that own and use the hard schema; made once for a cluster."""
    for role in ("bk_owner", "bk_app"):
        if not postgres.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")


def fill(site: Site) -> None:
    """Give the database the hard schema, its owner, settings and rights."""
    roles(site.postgres)
    opened = site.postgres.connect(site.database)
    try:
        with opened.cursor() as cursor:
            cursor.execute(HARD_SCHEMA)
            name = sql.Identifier(site.database)
            for statement in (
                "ALTER DATABASE {} OWNER TO bk_owner",
                "ALTER DATABASE {} SET work_mem = '7MB'",
                'ALTER DATABASE {} SET search_path = "$user", public, "Zwölf ""Affen"""',
                "ALTER ROLE bk_app IN DATABASE {} SET statement_timeout = '7s'",
                "REVOKE ALL ON DATABASE {} FROM PUBLIC",
                "GRANT CONNECT ON DATABASE {} TO bk_app",
                "COMMENT ON DATABASE {} IS 'the application''s\nslipway.environment=test'",
            ):
                cursor.execute(sql.SQL(statement).format(name))
    finally:
        opened.close()


def faulty(bindir: Path, target: Path, program: str, script: str) -> str:
    """A directory of the server's programs in which one does what ``script`` says; ``$real`` is the true one."""
    target.mkdir()
    for name in ("pg_dump", "pg_restore", "psql", "initdb", "postgres"):
        (target / name).symlink_to(bindir / name)
    broken = target / program
    broken.unlink()
    # The version and the reading through of an archive stay as they are unless the script is about them.
    broken.write_text(
        f'#!/bin/bash\nreal={bindir / program}\ncase "$*" in --version) exec "$real" --version ;; esac\n{script}\n'
    )
    broken.chmod(0o755)
    return str(target)
