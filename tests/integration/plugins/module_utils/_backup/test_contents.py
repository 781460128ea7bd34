# SPDX-License-Identifier: GPL-3.0-or-later
"""What the proof of a restore sees: all that drift sees and a dump has, in a copy that is otherwise its source."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.contents import read_objects
from ansible_collections.slipway.deploy.plugins.module_utils._backup.proof import object_differences
from ansible_collections.slipway.deploy.plugins.module_utils._schema.catalogue import Objects
from conftest import Postgres
from psycopg2.extensions import cursor as Cursor
from support.backup import Site
from support.schema_changes import CHANGES, OF_THE_ENVIRONMENT, SCHEMA, SINCE_18

# What has made, or could make, a restored copy look otherwise than its source.
ODD = """
CREATE TYPE shell;
CREATE OPERATOR >>> (FUNCTION = below, LEFTARG = mood, RIGHTARG = int, COMMUTATOR = <<<<);
ALTER OPERATOR <<<< (int, mood) OWNER TO pg_monitor;
CREATE INDEX broken ON users (lower(name));
ALTER INDEX broken ALTER COLUMN 1 SET STATISTICS 77;
COMMENT ON INDEX broken IS 'not built';
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass;
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');
CREATE INDEX days_everywhere ON days (n);
CREATE INDEX days_in_part ON ONLY days (day);
CREATE TRIGGER watched BEFORE INSERT ON days FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE days_1 DISABLE TRIGGER watched;
ALTER TABLE days ALTER n SET STATISTICS 50;
CREATE TABLE packed (id int PRIMARY KEY, a text, b text) PARTITION BY LIST (id);
CREATE INDEX packed_a ON packed (a);
CREATE TABLE packed_1 PARTITION OF packed DEFAULT;
ALTER TABLE packed ALTER a SET STORAGE EXTERNAL, ALTER a SET COMPRESSION pglz;
ALTER TABLE packed_1 ALTER b SET STORAGE MAIN;
CREATE TABLE unchecked (team bigint REFERENCES teams);
ALTER TABLE unchecked DISABLE TRIGGER ALL;
CREATE TABLE narrowed (z int, gone int, a int); ALTER TABLE narrowed DROP gone;
CREATE TABLE heir (own int) INHERITS (narrowed, aside.empty); ALTER TABLE narrowed ADD late int;
CREATE UNLOGGED TABLE fleeting (id bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE said (address text DEFAULT '::1' CHECK (address IN ('::1', ' (a) ')), code varchar(9)
    CHECK (code IN ('a::b', 'c')), "quoted (name)" varchar DEFAULT E'it''s\\\\' CHECK ("quoted (name)" <> '(b)'));
CREATE VIEW cast_ AS SELECT id::bigint AS n, name::varchar(7) AS "short::name", mood::text FROM users;
CREATE MATERIALIZED VIEW unfilled AS SELECT id FROM users WITH NO DATA;
CREATE DOMAIN bounded AS positive DEFAULT 3 NOT NULL CHECK (VALUE < 100);
CREATE TYPE extent AS RANGE (subtype = positive, multirange_type_name = extents);
CREATE TYPE nested AS (a positive[], b extent, c pair);
CREATE TABLE typed OF nested (a WITH OPTIONS NOT NULL);
CREATE PROCEDURE both_ways(a int, INOUT b text, OUT c int) LANGUAGE sql AS $$ SELECT 'x (y)'::text, 2 $$;
CREATE FUNCTION atomic(a int DEFAULT '3'::int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT a + '1'::int; END;
CREATE AGGREGATE moving (int) (SFUNC = int4pl, STYPE = int, MSFUNC = int4pl, MINVFUNC = int4mi, MSTYPE = int,
    INITCOND = '0', MINITCOND = '0', PARALLEL = SAFE);
CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert');
CREATE PUBLICATION both_kinds FOR TABLE teams WHERE (name IN ('a', 'b')), TABLES IN SCHEMA aside;
ALTER EVENT TRIGGER told DISABLE;
ALTER TABLE users DISABLE RULE noted;
CREATE USER MAPPING FOR pg_monitor SERVER far OPTIONS (password 'hidden');
GRANT SELECT ON users TO pg_monitor WITH GRANT OPTION;
SET ROLE pg_monitor; GRANT SELECT ON users TO pg_read_all_data; RESET ROLE;
REVOKE ALL ON aside.empty FROM postgres;
ALTER TABLE heir OWNER TO pg_monitor;
REVOKE EXECUTE ON FUNCTION pg_sleep(double precision) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE pg_monitor REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA aside GRANT SELECT ON TABLES TO pg_monitor WITH GRANT OPTION;
SELECT lo_create(47110); COMMENT ON LARGE OBJECT 47110 IS 'a picture';
SELECT lo_create(47120); ALTER LARGE OBJECT 47120 OWNER TO pg_monitor;
COMMENT ON SCHEMA public IS NULL;
GRANT CREATE ON SCHEMA public TO pg_monitor;
CREATE SCHEMA slipway; CREATE TABLE slipway.kept (id int PRIMARY KEY);
CREATE TABLE _prisma_migrations (id text PRIMARY KEY, migration_name text, finished_at timestamptz,
    rolled_back_at timestamptz);
CREATE SUBSCRIPTION {0} CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE);
COMMENT ON SUBSCRIPTION {0} IS 'of no dump';
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE of_{0} LOCATION '';
CREATE TABLE moved (id int PRIMARY KEY USING INDEX TABLESPACE of_{0}) TABLESPACE of_{0};
"""
# What drift does not take notice of, and the proof of a restore does.
MORE = [
    ("ALTER TABLE narrowed DROP a; ALTER TABLE narrowed ADD a int; ALTER TABLE heir ALTER a SET NOT NULL",
     "column public.heir.a"),
    ("ALTER TABLE users DROP mood CASCADE; ALTER TABLE users ADD mood mood",
     "order of columns in public.users"),
    ("ALTER TABLE heir NO INHERIT narrowed; ALTER TABLE heir INHERIT narrowed", "order of parents of public.heir"),
    ("CREATE UNIQUE INDEX ON teams (id); ALTER TABLE users DROP CONSTRAINT users_team_fkey; UPDATE pg_index "
     "SET indisprimary = false, indisunique = false WHERE indexrelid = 'teams_pkey'::regclass; "
     "ALTER TABLE users ADD CONSTRAINT users_team_fkey FOREIGN KEY (team) REFERENCES teams (id) ON DELETE CASCADE",
     "index behind constraint public.users.users_team_fkey"),
    ("CREATE OR REPLACE VIEW cast_ AS SELECT id::bigint AS n, name::varchar(7) AS \"short::name\", mood::text FROM "
     "users WHERE id > 0", "view public.cast_"),
    ("DROP VIEW cast_; CREATE VIEW cast_ AS SELECT id::numeric AS n, name::varchar(7) AS \"short::name\", mood::text "
     "FROM users", "view public.cast_"),
    ("ALTER TABLE said ALTER address SET DEFAULT '::2'", "column public.said.address"),
    ("ALTER TABLE said DROP CONSTRAINT said_address_check; "
     "ALTER TABLE said ADD CONSTRAINT said_address_check CHECK (address IN ('::1', '(a)'))",
     "constraint public.said.said_address_check"),
    ("ALTER SERVER far OPTIONS (SET host '::1'); ALTER SERVER far OPTIONS (SET host '::2')", "server far"),
    ("COMMENT ON TABLE users IS '(people)'", "comment table public.users"),
    ("CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN  RETURN NEW; END'",
     "function public.touch()"),
    ("ALTER TABLE slipway.kept ADD more int", "column slipway.kept.more"),
    ("ALTER TABLE slipway.kept ADD CHECK (id > 0)", "constraint slipway.kept.kept_id_check"),
    ("ALTER TABLE _prisma_migrations ALTER id SET DEFAULT 'x'", "column public._prisma_migrations.id"),
    ("ALTER TABLE _prisma_migrations OWNER TO pg_monitor", "owner of public._prisma_migrations"),
    ("COMMENT ON TABLE _prisma_migrations IS 'x'", "comment table public._prisma_migrations"),
    ("COMMENT ON LARGE OBJECT 47110 IS NULL", "comment large object 47110"),
    ("ALTER LARGE OBJECT 47110 OWNER TO pg_monitor", "large objects of pg_monitor"),
]  # fmt: skip
# What pg_dump leaves out, so that no copy has it.
OF_NO_DUMP = (
    "owner of database",
    "rights on database for ",
    "owner of extension ",
    "version of extension ",
    "setting ",
)
NOT_DUMPED = [case for case in OF_THE_ENVIRONMENT if case[1].startswith(OF_NO_DUMP)] + [
    ("ALTER TABLE users DISABLE TRIGGER ALL", "constraint public.users.users_team_fkey"),
]
SEEN = [case for case in CHANGES + OF_THE_ENVIRONMENT if case not in NOT_DUMPED]


KINDS = {
    "access method", "cast", "collation", "column", "comment", "constraint", "conversion", "data of",
    "default rights on", "event trigger", "foreign-data wrapper", "function", "index", "index behind constraint",
    "language", "large objects of", "operator", "operator class", "operator family", "order of columns in",
    "order of parents of", "owner of", "policy", "publication", "rights on", "rule", "schema", "sequence", "server",
    "statistics object", "table", "tablespace of", "text search configuration", "text search dictionary",
    "text search parser", "text search template", "transform", "trigger", "type", "user mapping for", "view",
}  # fmt: skip


@dataclass
class Proved:
    """A database of which a backup was proved, what the proof read of it, and a cursor in the restored copy."""

    site: Site
    source: Objects
    copy: Cursor

    def named(self, change: str) -> list[str]:
        """What the proof would name if the copy were so; the change is undone."""
        self.copy.execute("BEGIN")
        try:
            self.copy.execute(change.format(self.copy.connection.info.dbname))
            phrases = object_differences(self.source, read_objects(self.copy))
        finally:
            self.copy.execute("ROLLBACK")
        return [phrase.partition(" is ")[0] for phrase in phrases]


@contextlib.contextmanager
def proved(postgres: Postgres, directory: Path, *statements: str) -> Iterator[Proved]:
    site = Site(postgres, postgres.database(), directory / "backups")
    with contextlib.closing(postgres.connect(site.database)) as opened, opened.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.format(site.database))
        cursor.execute("BEGIN")
        source = read_objects(cursor)
        cursor.execute("ROLLBACK")
    done = site.backup(keep_scratch=True)
    assert done.get("msg") is None
    with contextlib.closing(postgres.connect(done["scratch_db"])) as opened, opened.cursor() as copy:
        yield Proved(site, source, copy)


@pytest.fixture(scope="module")
def tablespace(postgres: Postgres) -> Iterator[None]:
    with contextlib.closing(postgres.connect()) as opened, opened.cursor() as cursor:
        cursor.execute("SET allow_in_place_tablespaces = on")
        cursor.execute("CREATE TABLESPACE away LOCATION ''")
        yield
        cursor.execute("DROP TABLESPACE away")


@pytest.fixture(scope="module")
def plain(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, tablespace: None) -> Iterator[Proved]:
    """A database with an object of every kind."""
    with proved(postgres, tmp_path_factory.mktemp("plain"), SCHEMA) as found:
        yield found


@pytest.fixture(scope="module")
def odd(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proved]:
    """The same with all that is odd."""
    with proved(postgres, tmp_path_factory.mktemp("odd"), SCHEMA, *filter(None, ODD.split(";\n"))) as found:
        yield found


@pytest.mark.parametrize(("change", "shown"), SEEN)
def test_what_is_otherwise_in_a_copy_is_named(change: str, shown: str, plain: Proved) -> None:
    assert shown in plain.named(change)


@pytest.mark.parametrize(("change", "shown"), NOT_DUMPED)
def test_what_no_dump_has_is_not_named(change: str, shown: str, plain: Proved) -> None:
    assert shown not in plain.named(change)


@pytest.mark.parametrize(("change", "shown"), SINCE_18)
def test_what_is_otherwise_and_18_allows_is_named(change: str, shown: str, plain: Proved) -> None:
    knows_it = plain.site.postgres.version >= 18
    with contextlib.nullcontext() if knows_it else pytest.raises(psycopg2.Error):
        assert shown in plain.named(change)


@pytest.mark.parametrize(("change", "shown"), MORE)
def test_what_drift_does_not_see_is_named(change: str, shown: str, odd: Proved) -> None:
    assert shown in odd.named(change)


def test_every_kind_was_compared(odd: Proved) -> None:
    assert odd.named("SELECT 1") == []
    assert {kind for kind, _ in odd.source} == KINDS


def test_an_odd_database_is_restored(odd: Proved) -> None:
    done = odd.site.restore()
    assert done.get("msg") is None
    assert "schema was not compared" not in " ".join(done["actions"])


# What every new database has, and this one has no more; an extension on which rights were changed.
BARE = """
DROP SCHEMA public; DROP EXTENSION plpgsql; CREATE SCHEMA tools; CREATE EXTENSION vector SCHEMA tools;
COMMENT ON EXTENSION vector IS 'ours'; GRANT EXECUTE ON FUNCTION tools.vector_dims(tools.vector) TO pg_monitor;
REVOKE EXECUTE ON FUNCTION tools.l2_distance(tools.vector, tools.vector) FROM PUBLIC;
CREATE TABLE tools.t (x tools.vector(3));
"""
OF_AN_EXTENSION = [
    ("COMMENT ON EXTENSION vector IS 'theirs'", "comment extension vector"),
    ("REVOKE EXECUTE ON FUNCTION tools.vector_dims(tools.vector) FROM pg_monitor",
     "rights on function tools.vector_dims(tools.vector) for pg_monitor"),
    ("CREATE SCHEMA elsewhere; ALTER EXTENSION vector SET SCHEMA elsewhere", "extension vector"),
]  # fmt: skip


def test_a_database_without_what_every_new_one_has(postgres: Postgres, tmp_path: Path) -> None:
    with proved(postgres, tmp_path, BARE) as bare:
        for change, shown in OF_AN_EXTENSION:
            assert shown in bare.named(change)
    assert bare.site.restore().get("msg") is None
