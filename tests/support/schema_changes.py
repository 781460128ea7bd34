# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema with an object of every kind, and changes of each of them, with the object that each shows at."""

from __future__ import annotations

SCHEMA = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TYPE pair AS (a text, b int);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE DOMAIN positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE SEQUENCE numbers;
CREATE TABLE teams (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE users (
    id serial PRIMARY KEY, team bigint REFERENCES teams ON DELETE CASCADE, name text DEFAULT 'x', mood mood,
    size positive, twice int GENERATED ALWAYS AS (length(name) * 2) STORED, CONSTRAINT short CHECK (length(name) < 100)
);
CREATE INDEX users_name ON users (name);
CREATE INDEX users_lower ON users (lower(name)) WHERE size > 3;
CREATE TABLE days (day timestamptz, n int) PARTITION BY RANGE (day);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE child () INHERITS (teams);
CREATE VIEW names AS SELECT name FROM users;
CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM users;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION as_text(mood) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
CREATE FUNCTION below(mood, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT false';
CREATE FUNCTION added(pair, int) RETURNS pair LANGUAGE sql AS 'SELECT $1';
CREATE AGGREGATE total (int) (SFUNC = added, STYPE = pair);
CREATE TRIGGER touched BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE noted AS ON DELETE TO users DO ALSO NOTHING;
ALTER TABLE teams ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON teams TO pg_monitor USING (id > 0);
CREATE STATISTICS both_ ON name, mood FROM users;
CREATE FUNCTION told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER told ON sql_drop WHEN TAG IN ('DROP VIEW', 'DROP FUNCTION') EXECUTE FUNCTION told();
CREATE PUBLICATION chosen FOR TABLE users (id, name) WHERE (id > 0);
CREATE CAST (mood AS text) WITH FUNCTION as_text(mood);
CREATE OPERATOR <<< (FUNCTION = below, LEFTARG = mood, RIGHTARG = int);
CREATE OPERATOR FAMILY kin USING btree;
CREATE OPERATOR CLASS texts FOR TYPE text USING hash AS OPERATOR 1 =, FUNCTION 1 hashtext(text);
CREATE FOREIGN DATA WRAPPER wrapper OPTIONS (debug 'off');
CREATE SERVER far FOREIGN DATA WRAPPER wrapper OPTIONS (host 'a', password 'hidden');
CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password 'hidden');
CREATE FOREIGN TABLE abroad (id int OPTIONS (name 'a')) SERVER far OPTIONS (path 'a');
CREATE TEXT SEARCH PARSER words
    (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype);
CREATE TEXT SEARCH TEMPLATE plain (LEXIZE = dsimple_lexize, INIT = dsimple_init);
CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple, accept = true);
CREATE TEXT SEARCH CONFIGURATION search (PARSER = "default");
ALTER TEXT SEARCH CONFIGURATION search ADD MAPPING FOR word WITH dict;
CREATE FUNCTION tongue() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE TRUSTED LANGUAGE tongue HANDLER tongue;
CREATE TRANSFORM FOR mood LANGUAGE plpgsql (FROM SQL WITH FUNCTION prsd_lextype(internal));
CREATE CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE ACCESS METHOD tree TYPE INDEX HANDLER bthandler;
CREATE COLLATION plainly FROM "C";
COMMENT ON TABLE users IS 'people';
COMMENT ON CONSTRAINT short ON users IS 'not long';
COMMENT ON FUNCTION touch() IS 'does nothing';
CREATE TABLE constants (
    a timestamptz DEFAULT '2025-01-01 00:00+0', b interval DEFAULT '-1 day 2 hours', c bytea DEFAULT '\\x01',
    d float8 DEFAULT float8 '0.30000000000000004', e text DEFAULT 'a\\b'
);
CREATE SCHEMA aside;
CREATE TABLE aside.empty (id int);
GRANT SELECT (name) ON users TO pg_monitor;
"""
# A change by hand, and the object that it shows at.
CHANGES = [
    ("CREATE TABLE extra (id int)", "table public.extra"),
    ("DROP TABLE teams CASCADE", "table public.teams"),
    ("ALTER TABLE users SET (fillfactor = 70)", "table public.users"),
    ("ALTER TABLE users SET (toast.autovacuum_enabled = off)", "table public.users"),
    ("ALTER TABLE aside.empty SET UNLOGGED", "table aside.empty"),
    ("ALTER TABLE users REPLICA IDENTITY FULL", "table public.users"),
    ("ALTER TABLE users REPLICA IDENTITY USING INDEX users_pkey", "index public.users_pkey"),
    ("ALTER TABLE teams DISABLE ROW LEVEL SECURITY", "table public.teams"),
    ("ALTER TABLE teams FORCE ROW LEVEL SECURITY", "table public.teams"),
    ("ALTER TABLE child NO INHERIT teams", "table public.child"),
    ("CREATE TYPE row AS (id int); ALTER TABLE aside.empty OF row", "table aside.empty"),
    ("ALTER TABLE days DETACH PARTITION days_1; "
     "ALTER TABLE days ATTACH PARTITION days_1 FOR VALUES FROM ('2025-01-01') TO ('2025-03-01')",
     "table public.days_1"),
    ("ALTER TABLE days DETACH PARTITION days_1", "table public.days_1"),
    ("CREATE TABLE days_2 PARTITION OF days DEFAULT", "table public.days_2"),
    ("ALTER TABLE abroad OPTIONS (SET path 'b')", "table public.abroad"),
    ("ALTER TABLE users ADD COLUMN extra int", "column public.users.extra"),
    ("ALTER TABLE users ALTER mood TYPE text USING ''", "column public.users.mood"),
    ("ALTER TABLE teams ALTER name TYPE text COLLATE \"C\"", "column public.teams.name"),
    ("ALTER TABLE users ALTER name SET NOT NULL", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET DEFAULT 'y'", "column public.users.name"),
    ("ALTER TABLE users ALTER twice DROP EXPRESSION", "column public.users.twice"),
    ("ALTER TABLE teams ALTER id SET GENERATED BY DEFAULT", "column public.teams.id"),
    ("ALTER TABLE users ALTER name SET STATISTICS 500", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET STORAGE EXTERNAL", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET COMPRESSION pglz", "column public.users.name"),
    ("ALTER TABLE users ALTER name SET (n_distinct = 5)", "column public.users.name"),
    ("ALTER TABLE abroad ALTER id OPTIONS (SET name 'b')", "column public.abroad.id"),
    ("ALTER VIEW names ALTER name SET DEFAULT 'y'", "column public.names.name"),
    ("ALTER INDEX users_lower ALTER COLUMN 1 SET STATISTICS 500", "column public.users_lower.lower"),
    ("ALTER TABLE users DROP CONSTRAINT short", "constraint public.users.short"),
    ("ALTER TABLE users ADD CONSTRAINT more CHECK (id > 0) NOT VALID", "constraint public.users.more"),
    ("ALTER TABLE users ALTER CONSTRAINT users_team_fkey DEFERRABLE", "constraint public.users.users_team_fkey"),
    ("ALTER TABLE users DISABLE TRIGGER ALL", "constraint public.users.users_team_fkey"),
    ("CREATE INDEX extra ON users (mood)", "index public.extra"),
    ("DROP INDEX users_lower; CREATE INDEX users_lower ON users (lower(name)) WHERE size > 4",
     "index public.users_lower"),
    ("DROP INDEX users_lower; CREATE INDEX users_lower ON users (upper(name)) WHERE size > 3",
     "index public.users_lower"),
    ("DROP INDEX users_name; CREATE INDEX users_name ON users (name COLLATE \"C\")", "index public.users_name"),
    ("DROP INDEX users_name; CREATE INDEX users_name ON users (name text_pattern_ops)", "index public.users_name"),
    ("ALTER INDEX users_name SET (fillfactor = 70)", "index public.users_name"),
    ("ALTER TABLE users CLUSTER ON users_name", "index public.users_name"),
    ("CREATE INDEX ON days (n); DROP INDEX days_n_idx; CREATE INDEX days_1_n_idx ON days_1 (n)",
     "index public.days_1_n_idx"),
    ("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'users_name'::regclass", "index public.users_name"),
    ("CREATE OR REPLACE VIEW names AS SELECT name FROM users WHERE id > 1", "view public.names"),
    ("ALTER VIEW names SET (security_barrier)", "view public.names"),
    ("ALTER VIEW names SET (check_option = local)", "view public.names"),
    ("DROP MATERIALIZED VIEW counts", "view public.counts"),
    ("ALTER MATERIALIZED VIEW counts SET (fillfactor = 70)", "view public.counts"),
    ("ALTER SEQUENCE numbers INCREMENT 5", "sequence public.numbers"),
    ("ALTER SEQUENCE numbers OWNED BY users.id", "sequence public.numbers"),
    ("ALTER SEQUENCE numbers SET UNLOGGED", "sequence public.numbers"),
    ("CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
     "function public.touch()"),
    ("ALTER FUNCTION touch() SECURITY DEFINER", "function public.touch()"),
    ("ALTER FUNCTION touch() STABLE", "function public.touch()"),
    ("ALTER FUNCTION touch() SET work_mem = '1MB'", "function public.touch()"),
    ("CREATE PROCEDURE act() LANGUAGE sql AS ''", "function public.act()"),
    ("CREATE OR REPLACE AGGREGATE total (int) (SFUNC = added, STYPE = pair, INITCOND = '(,)')",
     "function public.total(integer)"),
    ("ALTER TABLE users DISABLE TRIGGER touched", "trigger public.users.touched"),
    ("DROP TRIGGER touched ON users", "trigger public.users.touched"),
    ("CREATE RULE nothing AS ON DELETE TO users DO INSTEAD NOTHING", "rule public.users.nothing"),
    ("ALTER TABLE users DISABLE RULE noted", "rule public.users.noted"),
    ("ALTER POLICY mine ON teams USING (true)", "policy public.teams.mine"),
    ("ALTER POLICY mine ON teams WITH CHECK (true)", "policy public.teams.mine"),
    ("ALTER POLICY mine ON teams TO PUBLIC", "policy public.teams.mine"),
    ("DROP POLICY mine ON teams; CREATE POLICY mine ON teams AS RESTRICTIVE TO pg_monitor USING (id > 0)",
     "policy public.teams.mine"),
    ("ALTER TYPE mood ADD VALUE 'fair'", "type public.mood"),
    ("ALTER TYPE mood ADD VALUE 'fair' BEFORE 'good'", "type public.mood"),
    ("ALTER TYPE pair ADD ATTRIBUTE c int", "type public.pair"),
    ("ALTER TYPE pair ALTER ATTRIBUTE a TYPE text COLLATE \"C\"", "type public.pair"),
    ("DROP TYPE span; CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = float8mi)", "type public.span"),
    ("DROP TYPE span; CREATE TYPE span AS RANGE (subtype = float8, multirange_type_name = spans)", "type public.span"),
    ("CREATE TYPE extra", "type public.extra"),
    ("CREATE TYPE extra AS ENUM ()", "type public.extra"),
    ("ALTER DOMAIN positive SET NOT NULL", "type public.positive"),
    ("ALTER DOMAIN positive SET DEFAULT 1", "type public.positive"),
    ("ALTER DOMAIN positive DROP CONSTRAINT above", "type public.positive"),
    ("ALTER DOMAIN positive ADD CONSTRAINT below CHECK (VALUE < 9) NOT VALID", "type public.positive"),
    ("CREATE DOMAIN extra AS text COLLATE \"C\"", "type public.extra"),
    ("CREATE EXTENSION vector", "extension vector"),
    ("CREATE SCHEMA other; CREATE TABLE other.t ()", "table other.t"),
    ("CREATE SCHEMA other", "schema other"),
    ("ALTER SCHEMA aside OWNER TO pg_monitor", "owner of schema aside"),
    ("GRANT ALL ON SCHEMA aside TO pg_monitor", "rights on schema aside for pg_monitor"),
    ("CREATE SCHEMA schema_; CREATE TABLE schema_.t ()", "owner of schema_.t"),
    ("ALTER STATISTICS both_ SET STATISTICS 500", "statistics object public.both_"),
    ("DROP STATISTICS both_; CREATE STATISTICS both_ (mcv) ON name, mood FROM users", "statistics object public.both_"),
    ("DROP STATISTICS both_; CREATE STATISTICS both_ ON name, lower(name) FROM users",
     "statistics object public.both_"),
    ("ALTER EVENT TRIGGER told DISABLE", "event trigger told"),
    ("DROP EVENT TRIGGER told; CREATE EVENT TRIGGER told ON sql_drop EXECUTE FUNCTION told()", "event trigger told"),
    ("ALTER PUBLICATION chosen SET (publish = 'insert')", "publication chosen"),
    ("ALTER PUBLICATION chosen SET TABLE users (id) WHERE (id > 0)", "publication chosen"),
    ("ALTER PUBLICATION chosen SET TABLE users (id, name) WHERE (id > 1)", "publication chosen"),
    ("ALTER PUBLICATION chosen SET TABLES IN SCHEMA aside", "publication chosen"),
    ("CREATE PUBLICATION extra FOR ALL TABLES", "publication extra"),
    ("DROP CAST (mood AS text); CREATE CAST (mood AS text) WITH FUNCTION as_text(mood) AS ASSIGNMENT",
     "cast (public.mood AS pg_catalog.text)"),
    ("ALTER OPERATOR <<< (mood, int) SET (RESTRICT = scalarltsel)", "operator public.<<<(public.mood,integer)"),
    ("ALTER OPERATOR FAMILY kin USING btree ADD OPERATOR 1 <(int, int)", "operator family public.kin USING btree"),
    ("ALTER OPERATOR FAMILY kin USING btree ADD FUNCTION 1 (int, int) btint4cmp(int, int)",
     "operator family public.kin USING btree"),
    ("DROP OPERATOR CLASS texts USING hash", "operator class public.texts USING hash"),
    ("ALTER FOREIGN DATA WRAPPER wrapper OPTIONS (SET debug 'on')", "foreign-data wrapper wrapper"),
    ("ALTER SERVER far OPTIONS (SET host 'b')", "server far"),
    ("ALTER SERVER far VERSION '2'", "server far"),
    ("DROP USER MAPPING FOR PUBLIC SERVER far", "user mapping for public on far"),
    ("DROP TEXT SEARCH PARSER words; CREATE TEXT SEARCH PARSER words (START = prsd_start, GETTOKEN = prsd_nexttoken, "
     "END = prsd_end, LEXTYPES = prsd_lextype, HEADLINE = prsd_headline)", "text search parser public.words"),
    ("DROP TEXT SEARCH TEMPLATE plain", "text search template public.plain"),
    ("ALTER TEXT SEARCH DICTIONARY dict (accept = false)", "text search dictionary public.dict"),
    ("ALTER TEXT SEARCH CONFIGURATION search ADD MAPPING FOR email WITH dict",
     "text search configuration public.search"),
    ("ALTER TEXT SEARCH CONFIGURATION search ALTER MAPPING FOR word WITH simple",
     "text search configuration public.search"),
    ("CREATE OR REPLACE LANGUAGE tongue HANDLER plpgsql_call_handler", "language tongue"),
    ("DROP TRANSFORM FOR mood LANGUAGE plpgsql", "transform for public.mood language plpgsql"),
    ("DROP CONVERSION latin; CREATE DEFAULT CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
     "conversion public.latin"),
    ("DROP ACCESS METHOD tree; CREATE ACCESS METHOD tree TYPE INDEX HANDLER hashhandler", "access method tree"),
    ("DROP COLLATION plainly; CREATE COLLATION plainly FROM \"POSIX\"", "collation public.plainly"),
    ("COMMENT ON TABLE users IS 'others'", "comment table public.users"),
    ("COMMENT ON COLUMN users.name IS 'by hand'", "comment table column public.users.name"),
    ("COMMENT ON CONSTRAINT short ON users IS NULL", "comment table constraint short on public.users"),
    ("COMMENT ON CONSTRAINT above ON DOMAIN positive IS 'x'", "comment domain constraint above on public.positive"),
    ("COMMENT ON TRIGGER touched ON users IS 'x'", "comment trigger touched on public.users"),
    ("COMMENT ON POLICY mine ON teams IS 'x'", "comment policy mine on public.teams"),
    ("COMMENT ON RULE noted ON users IS 'x'", "comment rule noted on public.users"),
    ("COMMENT ON INDEX users_name IS 'x'", "comment index public.users_name"),
    ("COMMENT ON FUNCTION touch() IS NULL", "comment function public.touch()"),
    ("COMMENT ON TYPE mood IS 'x'", "comment type public.mood"),
    ("COMMENT ON SCHEMA public IS 'x'", "comment schema public"),
    ("COMMENT ON CAST (mood AS text) IS 'x'", "comment cast (public.mood AS pg_catalog.text)"),
    ("INSERT INTO pg_seclabel VALUES ('users'::regclass, 'pg_class'::regclass, 0, 'guard', 'x')",
     "security label guard on table public.users"),
    ("ALTER TABLE users OWNER TO pg_monitor", "owner of public.users"),
    ("ALTER VIEW names OWNER TO pg_monitor", "owner of public.names"),
    ("ALTER SEQUENCE numbers OWNER TO pg_monitor", "owner of public.numbers"),
    ("ALTER FUNCTION touch() OWNER TO pg_monitor", "owner of function public.touch()"),
    ("ALTER TYPE mood OWNER TO pg_monitor", "owner of type public.mood"),
    ("ALTER STATISTICS both_ OWNER TO pg_monitor", "owner of statistics object public.both_"),
    ("ALTER OPERATOR <<< (mood, int) OWNER TO pg_monitor", "owner of operator public.<<<(public.mood,integer)"),
    ("ALTER OPERATOR CLASS texts USING hash OWNER TO pg_monitor", "owner of operator class public.texts USING hash"),
    ("ALTER OPERATOR FAMILY kin USING btree OWNER TO pg_monitor", "owner of operator family public.kin USING btree"),
    ("ALTER TEXT SEARCH DICTIONARY dict OWNER TO pg_monitor", "owner of text search dictionary public.dict"),
    ("ALTER TEXT SEARCH CONFIGURATION search OWNER TO pg_monitor", "owner of text search configuration public.search"),
    ("ALTER LANGUAGE tongue OWNER TO pg_monitor", "owner of language tongue"),
    ("ALTER CONVERSION latin OWNER TO pg_monitor", "owner of conversion public.latin"),
    ("ALTER COLLATION plainly OWNER TO pg_monitor", "owner of collation public.plainly"),
    ("GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO pg_monitor; ALTER SERVER far OWNER TO pg_monitor",
     "owner of server far"),
    ("GRANT SELECT ON users TO PUBLIC", "rights on public.users for PUBLIC"),
    ("GRANT SELECT ON users TO pg_monitor WITH GRANT OPTION", "rights on public.users for pg_monitor"),
    ("GRANT UPDATE (name) ON users TO pg_monitor", "rights on public.users.name for pg_monitor"),
    ("REVOKE SELECT (name) ON users FROM pg_monitor", "rights on public.users.name for pg_monitor"),
    ("GRANT USAGE ON SEQUENCE numbers TO PUBLIC", "rights on public.numbers for PUBLIC"),
    ("REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC", "rights on function public.touch() for PUBLIC"),
    ("REVOKE USAGE ON TYPE mood FROM PUBLIC", "rights on type public.mood for PUBLIC"),
    ("REVOKE USAGE ON LANGUAGE tongue FROM PUBLIC", "rights on language tongue for PUBLIC"),
    ("GRANT USAGE ON FOREIGN DATA WRAPPER wrapper TO PUBLIC", "rights on foreign-data wrapper wrapper for PUBLIC"),
    ("GRANT USAGE ON FOREIGN SERVER far TO PUBLIC", "rights on server far for PUBLIC"),
    ("CREATE EXTENSION vector; REVOKE EXECUTE ON FUNCTION vector_in FROM PUBLIC",
     "rights on function public.vector_in(pg_catalog.cstring,pg_catalog.oid,integer) for postgres"),
]  # fmt: skip
# The same of what the migrations don't make, which a snapshot tells and a replay does not.
OF_THE_ENVIRONMENT = [
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "rights on schema public for PUBLIC"),
    ("ALTER DEFAULT PRIVILEGES IN SCHEMA aside GRANT SELECT ON TABLES TO PUBLIC",
     "default rights on r of postgres in aside"),
    ("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
     "default rights on f of postgres in all schemas"),
    ("ALTER DATABASE {0} SET work_mem = '1MB'", "setting work_mem for all roles"),
    ("ALTER ROLE postgres IN DATABASE {0} SET work_mem = '1MB'", "setting work_mem for postgres"),
    ("GRANT CREATE ON DATABASE {0} TO PUBLIC", "rights on database for PUBLIC"),
    ("ALTER DATABASE {0} OWNER TO pg_monitor", "owner of database"),
    ("REVOKE EXECUTE ON FUNCTION pg_sleep FROM PUBLIC",
     "rights on system function pg_catalog.pg_sleep(double precision) for postgres"),
    ("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "rights on system language plpgsql for postgres"),
    ("REFRESH MATERIALIZED VIEW counts WITH NO DATA", "data of public.counts"),
    ("CREATE EXTENSION vector", "version of extension vector"),
    ("CREATE EXTENSION vector", "owner of extension vector"),
    ("ALTER TABLE users SET TABLESPACE away", "tablespace of public.users"),
]  # fmt: skip
SINCE_18 = [
    ("ALTER TABLE users ADD CONSTRAINT more CHECK (id > 0) NOT ENFORCED", "constraint public.users.more"),
    ("ALTER TABLE users ADD CONSTRAINT named NOT NULL name NOT VALID", "column public.users.name"),
    ("ALTER TABLE teams ALTER CONSTRAINT teams_name_not_null NO INHERIT", "column public.teams.name"),
    ("ALTER TABLE users DROP twice; ALTER TABLE users ADD twice int GENERATED ALWAYS AS (length(name) * 2) VIRTUAL",
     "column public.users.twice"),
    ("ALTER PUBLICATION chosen SET (publish_generated_columns = stored)", "publication chosen"),
]  # fmt: skip
