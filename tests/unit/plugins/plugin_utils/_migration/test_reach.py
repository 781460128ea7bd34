# SPDX-License-Identifier: GPL-3.0-or-later
"""How far statements reach, by their trees: what the server shares, what a rollback undoes, what only looks so."""

from __future__ import annotations

import time

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Reach
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.reach import Reaches
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.statements import trees


def reach(sql: str) -> Reach | None:
    """How far the last statement of a file reaches."""
    reaches = Reaches()
    return [reaches.of(tree, sql[start:end]) for start, end, tree in trees(sql)][-1]


SERVER = "which acts beyond the database"
FAR = [
    ("CREATE ROLE r", "creates a role", True, True),
    ("GRANT a TO b", "changes who is a member of a role", True, True),
    ("ALTER ROLE r SET work_mem = 1", "changes a role", True, True),
    ("ALTER ROLE r RENAME TO s", "changes a role", True, True),
    ("COMMENT ON ROLE r IS 'x'", "changes a role", True, True),
    ("SECURITY LABEL ON ROLE r IS 'x'", "changes a role", True, True),
    ("ALTER TABLESPACE t OWNER TO r", "changes a tablespace", True, True),
    ("GRANT CONNECT ON DATABASE d TO r", "changes a database", True, True),
    ("GRANT SET ON PARAMETER work_mem TO r", "changes who may set a parameter", True, True),
    ("ALTER DATABASE d OWNER TO r", "changes a database", True, True),
    ("ALTER DATABASE d REFRESH COLLATION VERSION", "changes a database", True, True),
    ("ALTER SYSTEM SET work_mem = 1", "changes the server's settings", False, True),
    ("COMMIT PREPARED 'x'", "ends a transaction that was prepared before", False, False),
    ("COPY t TO PROGRAM 'x'", "runs a program on the server", False, False),
    ("COPY t FROM PROGRAM 'x'", "runs a program on the server", False, False),
    ("COPY t TO '/tmp/x'", "writes a file on the server", False, False),
    ("SELECT dblink_exec('dbname=x', 'DROP TABLE y')", f"calls dblink_exec, {SERVER}", False, False),
    ("SELECT * FROM public.dblink('x', 'y') AS t (i int)", f"calls dblink, {SERVER}", False, False),
    ("SELECT pg_catalog.pg_reload_conf ()", f"calls pg_reload_conf, {SERVER}", False, False),
    (
        "SELECT pg_create_logical_replication_slot('s', 'x')",
        f"calls pg_create_logical_replication_slot, {SERVER}",
        False,
        False,
    ),
    ("SELECT pg_drop_replication_slot('s')", f"calls pg_drop_replication_slot, {SERVER}", False, False),
    ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity", f"calls pg_terminate_backend, {SERVER}", False, False),
    ("SELECT lo_export(1, '/tmp/x')", f"calls lo_export, {SERVER}", False, False),
    ("SELECT cron.schedule('x', '* * * * *', 'y')", f"calls cron.schedule, {SERVER}", False, False),
    ("REASSIGN OWNED BY a TO b", "changes whose objects are whose", True, False),
    ("DROP OWNED BY a", "drops what a role owns", True, False),
    ("ALTER DATABASE d RENAME TO e", "changes a database", False, True),
    ("ALTER DATABASE d SET work_mem = '5MB'", "changes a database", True, True),
    ("DROP DATABASE d", "drops a database", False, True),
    ("CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "subscribes to another server", False, True),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "what", "transactional", "only"), FAR)
def test_what_a_statement_changes_outside_its_database(sql: str, what: str, transactional: bool, only: bool) -> None:
    assert reach(sql) == Reach(what, transactional, only)


NEAR = [
    "CREATE TABLE t (role text, dblink int)",
    "COMMENT ON TABLE t IS 'create role'",
    "INSERT INTO t VALUES ('create role; SELECT dblink(1)')",
    "SELECT 1 -- dblink('x')",
    "GRANT SELECT ON t TO r",
    "ALTER TABLE t OWNER TO r",
    "ALTER TABLE t RENAME TO u",
    "COPY t FROM '/tmp/x'",
    "CALL p()",
    "COMMIT",
    "SET ROLE r",
    "CREATE USER MAPPING FOR r SERVER s",
    "CREATE FUNCTION f(i int) RETURNS text LANGUAGE sql AS"
    " $$ SELECT role.name FROM person JOIN role ON role.id = person.role_id $$; UPDATE person SET label = f(id)",
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN -- CREATE ROLE\n NEW.a := 'alter system'; RETURN NEW; END $$; UPDATE t SET a = f()",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DROP ROLE r'; SELECT 1",  # never called
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'DROP ROLE r';"
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT f()",
    "CREATE FUNCTION f(a s.t, OUT b s.u) LANGUAGE plpgsql AS"
    " $$ DECLARE c s.t%ROWTYPE; d CONSTANT s.k := '{}'; BEGIN c.x := a.y; b := NULL; END $$; SELECT f(1)",
    "CREATE FUNCTION f() RETURNS TABLE (a int) LANGUAGE plpgsql AS"
    " $$ BEGIN RETURN QUERY EXECUTE 'SELECT 1'; END $$; SELECT f()",
    "CREATE FUNCTION f(a int, OUT b int, OUT c s.t) RETURNS SETOF record LANGUAGE plpgsql AS"
    " $$ BEGIN b := a; RETURN NEXT; END $$; SELECT f(1)",
    "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RETURN; END $$; SELECT f()",
    "CREATE FUNCTION f(x int) RETURNS int RETURN x + 1; SELECT f(1)",
    "DO $$ BEGIN GRANT SELECT ON t TO r; ALTER TABLE t OWNER TO r; UPDATE t SET role = 'user'; END $$",
    "DO $$ BEGIN CREATE USER MAPPING FOR r SERVER s; END $$",
    "DO $$ DECLARE i int; BEGIN FOR i IN SELECT id FROM shop LOOP"
    " EXECUTE format('CREATE TABLE a_%s (LIKE sale)', i); END LOOP; END $$",
    "DO $$ DECLARE t text; BEGIN FOREACH t IN ARRAY '{a,b}'::text[] LOOP"
    " EXECUTE 'ALTER TABLE ' || quote_ident(t) || ' ADD x int'; END LOOP; END $$",
    "DO $$ DECLARE r record; BEGIN FOR r IN SELECT format('DROP INDEX %I', relname) AS cmd FROM pg_class LOOP"
    " EXECUTE r.cmd; END LOOP; END $$",
    "DO $$ DECLARE q text := 'CREATE VIEW '; BEGIN q := q || 'v AS ' || body; EXECUTE q; END $$",
    "DO $$ BEGIN FOR i IN 1..3 LOOP EXECUTE 'CREATE TABLE p' || i || ' PARTITION OF p FOR VALUES IN (' || i || ')';"
    " END LOOP; END $$",
    "DO $$ BEGIN EXECUTE concat('UPDATE ', t, ' SET ', CASE WHEN a THEN 'b = 1' ELSE 'c = 2' END); END $$",
    "DO $$ BEGIN CREATE TYPE mood AS ENUM ('a'); EXCEPTION WHEN duplicate_object THEN NULL; END $$",
]


@pytest.mark.parametrize("sql", NEAR)
def test_what_only_looks_as_if_it_did(sql: str) -> None:
    assert reach(sql) is None


JUDGED = "runs code that can't be judged"
IN_CODE = [
    ("DO $$ BEGIN IF NOT EXISTS (SELECT 1) THEN CREATE ROLE r; END IF; END $$", "runs code that creates a role", True),
    ("DO $$ BEGIN EXECUTE 'ALTER ROLE r PASSWORD ''x'''; END $$", "runs code that changes a role", True),
    ("DO $$ BEGIN EXECUTE format('GRANT %I TO %2$I', 'a', 'b'); END $$",
     "runs code that changes who is a member of a role", True),
    ("DO $$ BEGIN PERFORM pg_reload_conf(); END $$", f"runs code that calls pg_reload_conf, {SERVER}", False),
    ("DO $$ DECLARE a int; BEGIN CREATE ROLE r; a := 1 + pg_reload_conf()::int; END $$",
     f"runs code that calls pg_reload_conf, {SERVER}", False),
    ("DO $$ BEGIN EXECUTE 'COPY t TO ''/tmp/x'''; END $$", "runs code that writes a file on the server", False),
    ("DO $x$ BEGIN EXECUTE 'DO $$ BEGIN CREATE ROLE a; END $$'; END $x$", "runs code that creates a role", True),
    ("CREATE PROCEDURE p() LANGUAGE sql AS 'DROP USER u'; CALL p()",
     "calls p, which runs code that drops a role", True),
    ("CREATE FUNCTION f(a s.t) RETURNS SETOF s.t LANGUAGE plpgsql AS"
     " $$ DECLARE b s.t; BEGIN RETURN QUERY EXECUTE 'DROP ROLE x'; END $$; SELECT f(1)",
     "calls f, which runs code that drops a role", True),
    ("CREATE FUNCTION f() RETURNS bool BEGIN ATOMIC SELECT pg_reload_conf(); END; SELECT f()",
     f"calls f, which runs code that calls pg_reload_conf, {SERVER}", False),
    ("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DROP ROLE r; RETURN NULL; END $$;"
     "CREATE TRIGGER a AFTER INSERT ON t EXECUTE FUNCTION f(); INSERT INTO t VALUES (1)",
     "runs code that drops a role", True),
    ("DO $$ DECLARE r record; BEGIN FOR r IN SELECT cmd FROM todo LOOP EXECUTE r.cmd; END LOOP; END $$", JUDGED, True),
    ("DO $$ BEGIN EXECUTE format('CREATE %s %I', kind, name); END $$", JUDGED, True),
    ("DO $$ BEGIN EXECUTE 'ALTER ' || kind || ' x'; END $$", JUDGED, True),
    ("DO $$ BEGIN this is no code END $$", JUDGED, True),
    ("DO $$ BEGIN this is no code but dblink_exec('x') END $$", f"runs code that calls dblink_exec, {SERVER}", False),
    ("DO $$ BEGIN EXECUTE 'SELECT dblink_exec(' || a; END $$", f"runs code that calls dblink_exec, {SERVER}", False),
    ("DO LANGUAGE plperl 'x'", JUDGED, True),
    ("DO LANGUAGE plpython3u 'x'", JUDGED, False),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "what", "transactional"), IN_CODE)
def test_code_is_judged_where_it_runs(sql: str, what: str, transactional: bool) -> None:
    assert reach(sql) == Reach(what, transactional)


def test_a_large_file_takes_little_time() -> None:
    sql = f"INSERT INTO t VALUES {', '.join(['(1, now())'] * 50_000)}"
    [(_, _, tree)] = trees(sql)
    began = time.perf_counter()
    assert Reaches().of(tree, sql) is None
    assert time.perf_counter() - began < 0.5
