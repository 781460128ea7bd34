# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies that pg_restore by itself makes otherwise than the source, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Postgres
from support.backup import Site, contents, schema_dump

# pg_restore --jobs makes the small index before the large primary key.
OTHER_INDEX = """
CREATE TABLE "A" (id text, CONSTRAINT "A_pkey" PRIMARY KEY (id));
CREATE UNIQUE INDEX "A_id_key" ON "A" (id);
COMMENT ON INDEX "A_id_key" IS 'one more';
CREATE TABLE "B" (a text);
ALTER TABLE "B" ADD CONSTRAINT "B_a_fkey" FOREIGN KEY (a) REFERENCES "A" (id);
-- A primary key that came later than the index that the foreign key leans on.
CREATE TABLE c (id int NOT NULL);
CREATE UNIQUE INDEX z_first ON c (id);
CREATE TABLE d (c int REFERENCES c (id));
ALTER TABLE c ADD CONSTRAINT c_second PRIMARY KEY (id);
CREATE VIEW by_key AS SELECT id, count(*) AS n FROM c GROUP BY c.id;
"""
LEANING = """
SELECT conname::text, conindid::regclass::text FROM pg_constraint WHERE contype = 'f' ORDER BY 1
"""


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    return Site(postgres, postgres.database(), tmp_path / "backups")


def test_a_foreign_key_leans_on_the_same_index(site: Site) -> None:
    site.execute(OTHER_INDEX)
    expected = [("B_a_fkey", '"A_pkey"'), ("d_c_fkey", "z_first")]
    assert site.execute(LEANING) == expected
    done = site.backup(keep_scratch=True)
    assert done.get("msg") is None
    assert site.postgres.execute(LEANING, done["scratch_db"]) == expected
    assert site.restore().get("msg") is None
    assert site.execute(LEANING) == expected
    site.execute('DROP INDEX "A_id_key"')


def test_an_identity_reaches_the_partitions_of_partitions(site: Site) -> None:
    """cold_2026 is attached before its parent is, by its name."""
    identity = "BY DEFAULT AS IDENTITY" if site.postgres.version >= 17 else "BY DEFAULT AS IDENTITY PRIMARY KEY"
    site.execute(
        f"""
        CREATE TABLE reading (id bigint GENERATED {identity.replace(" PRIMARY KEY", "")}, day date NOT NULL)
            PARTITION BY RANGE (day);
        CREATE TABLE reading_2026 PARTITION OF reading FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
            PARTITION BY HASH (day);
        CREATE TABLE cold_2026 PARTITION OF reading_2026 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        INSERT INTO reading (day) VALUES ('2026-03-01');
        """
    )
    identities = "SELECT attrelid::regclass::text, attidentity FROM pg_attribute WHERE attname = 'id' AND attnum > 0"
    expected = sorted(site.execute(f"{identities} AND attrelid::regclass::text ~ '2026|reading'"))
    done = site.backup(keep_scratch=True)
    assert done.get("msg") is None
    found = site.postgres.execute(f"{identities} AND attrelid::regclass::text ~ '2026|reading'", done["scratch_db"])
    assert sorted(found) == expected


BY_SEARCH_PATH = r"""
CREATE FUNCTION squeeze(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT regexp_replace(t, '\s+', ' ', 'g') $$;
CREATE FUNCTION is_tidy(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN t = squeeze(t); END $$;
CREATE FUNCTION tidy(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE SET work_mem = '5MB' AS
    $$ BEGIN RETURN squeeze(t); END $$;
CREATE DOMAIN label AS text CONSTRAINT tidy_label CHECK (is_tidy(VALUE));
COMMENT ON CONSTRAINT tidy_label ON DOMAIN label IS 'on the domain';
CREATE TABLE product (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL CHECK (is_tidy(name)),
    other label, short text GENERATED ALWAYS AS (tidy(name)) STORED);
COMMENT ON CONSTRAINT product_name_check ON product IS 'on the table';
INSERT INTO product (name, other) VALUES ('red tea', 'x y'), ('green tea', NULL);
CREATE TABLE parent (x text, CONSTRAINT of_parent CHECK (is_tidy(x)));
CREATE TABLE child (CONSTRAINT of_parent CHECK (is_tidy(x)), CONSTRAINT own CHECK (x <> 'z')) INHERITS (parent);
INSERT INTO child VALUES ('a b');
CREATE FUNCTION limits() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT max(most) FROM zz_limit); END';
CREATE TABLE zz_limit (most int);
INSERT INTO zz_limit VALUES (10);
CREATE TABLE booking (n int CHECK (n <= limits()));
INSERT INTO booking VALUES (5);
"""
INDEX = "CREATE INDEX product_tidy ON product (tidy(name))"


def test_what_depends_on_the_search_path_or_on_other_tables_is_proved_with_help(site: Site) -> None:
    site.execute(BY_SEARCH_PATH)
    if site.postgres.version < 17:  # which itself refuses such an index
        site.execute(INDEX)
    before = schema_dump(site.postgres, site.database)
    rows = contents(site.postgres, site.database)
    done = site.backup(keep_scratch=True)
    assert done.get("msg") is None
    assert (done["backup"]["rows"], done["backup"]["unproved"]) == (5, [])
    assert "function squeeze(text) does not exist" in done["backup"]["help"]
    assert done["actions"][-1].startswith("pg_restore alone can't restore it (pg_restore failed (exit code 1): ")
    assert schema_dump(site.postgres, done["scratch_db"]) == before
    assert contents(site.postgres, done["scratch_db"]) == rows

    restored = site.restore()
    assert restored.get("msg") is None
    assert schema_dump(site.postgres, site.database) == before
    assert contents(site.postgres, site.database) == rows


def test_what_can_not_be_proved_is_named_and_taken_for_a_reason_only(site: Site) -> None:
    site.execute(
        """
        CREATE TABLE voucher (code text PRIMARY KEY, expires timestamptz NOT NULL CHECK (expires > now()));
        INSERT INTO voucher VALUES ('SPRING', now() + interval '50 ms');
        CREATE FUNCTION half(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 100 / n; END';
        CREATE TABLE t (n int PRIMARY KEY);
        INSERT INTO t VALUES (1);
        CREATE TABLE u (n int REFERENCES t);
        SET session_replication_role TO replica;
        INSERT INTO u VALUES (2);
        RESET session_replication_role;
        CREATE INDEX halves ON t (half(n));
        CREATE OR REPLACE FUNCTION half(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n / 0; END';
        SELECT pg_sleep(0.06);
        """
    )
    failed = site.backup()
    assert failed["msg"] == (
        f"A restored copy of database '{site.database}' has all of its rows, but is not otherwise as it was: "
        "'voucher_expires_check' of table public.voucher: check constraint \"voucher_expires_check\" of relation "
        '"voucher" is violated by some row; FK CONSTRAINT u u_n_fkey postgres: insert or update on table "u" violates '
        'foreign key constraint "u_n_fkey"; INDEX halves postgres: division by zero; constraint public.u.u_n_fkey is '
        "defined otherwise: 'FOREIGN KEY (n) REFERENCES public.t(n)' in the source, 'FOREIGN KEY (n) REFERENCES "
        "public.t(n) NOT VALID' in the copy; constraint public.voucher.voucher_expires_check is defined otherwise: "
        "'CHECK ((expires > now()))' in the source, 'CHECK ((expires > now())) NOT VALID' in the copy; and 1 more. "
        "PostgreSQL restores one table after another, with an empty search_path and later than the rows were written, "
        "so that what depends on more than its own row may fail. Correct that by a migration, and deploy it with "
        "unprovable set to the reason: the rows are proved then, what is named here is not, and the reason is kept in "
        "the backup's manifest."
    )
    assert failed["differences"][-1] == "index public.halves is missing"
    assert (site.files(), site.databases()) == ([], [])

    done = site.backup(unprovable="vouchers run out", keep_scratch=True)
    assert done.get("msg") is None
    manifest = done["backup"]
    assert (manifest["proved"], manifest["rows"], manifest["unprovable"]) == (True, 3, "vouchers run out")
    assert len(manifest["unproved"]) == 6
    assert done["actions"][-1].startswith("Not proved, by your leave (vouchers run out): 'voucher_expires_check' of")
    # The repair can be rehearsed on the copy.
    for repair in (
        "ALTER TABLE voucher DROP CONSTRAINT voucher_expires_check",
        "DROP INDEX halves",
        "ALTER TABLE u DROP CONSTRAINT u_n_fkey",
    ):
        site.postgres.execute(repair, done["scratch_db"])

    # What was accepted then needs no reason now.
    assert site.restore().get("msg") is None
    assert site.execute("SELECT count(*) FROM voucher") == [(1,)]


def test_a_check_that_no_longer_holds_does_not_hold_a_restore_up(site: Site) -> None:
    site.postgres.execute("CREATE ROLE bk_season")
    site.execute(
        """
        CREATE FUNCTION season() RETURNS boolean LANGUAGE sql AS
            'SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ''bk_season'')';
        CREATE TABLE voucher (code text CHECK (season()));
        INSERT INTO voucher VALUES ('SPRING');
        """
    )
    assert site.backup()["backup"]["help"] == ""
    site.postgres.execute("DROP ROLE bk_season")
    refused = site.restore()
    assert refused["msg"].startswith(
        f"A restored copy of database '{site.database}' has all of its rows, but is not otherwise as it was: "
        '\'voucher_check\' of table public.voucher: check constraint "voucher_check" of relation "voucher" is '
        "violated by some row; an object of the schema is defined otherwise. "
    )
    assert refused["msg"].endswith(
        f"Database '{site.database}' was left as it is: choose another backup, or set unprovable to the reason for "
        "restoring this one without it."
    )
    done = site.restore(unprovable="an emergency")
    assert done["actions"][-1].startswith("Not as in the backup (an emergency): 'voucher_check' of table public")
    assert site.execute("SELECT code FROM voucher") == [("SPRING",)]


def test_a_row_that_can_not_be_restored_is_never_accepted(site: Site) -> None:
    site.execute(
        """
        CREATE FUNCTION strict_(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END';
        CREATE TABLE t (n int, m int GENERATED ALWAYS AS (strict_(n)) STORED);
        INSERT INTO t VALUES (1);
        CREATE OR REPLACE FUNCTION strict_(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n / 0; END';
        """
    )
    failed = site.backup(unprovable="please")
    assert 'COPY failed for table "t": ERROR:  division by zero' in failed["msg"]
    assert (site.files(), site.databases()) == ([], [])


def test_an_extension_belongs_to_whom_it_did(site: Site) -> None:
    site.postgres.execute("DO $$ BEGIN CREATE ROLE bk_extender SUPERUSER; EXCEPTION WHEN duplicate_object THEN END $$")
    site.execute(
        'CREATE SCHEMA "ex tra"; SET ROLE bk_extender; CREATE EXTENSION vector SCHEMA "ex tra"; '
        "CREATE TABLE t (x \"ex tra\".vector(3)); INSERT INTO t VALUES ('[1,2,3]')"
    )
    owners = "SELECT extname, pg_get_userbyid(extowner)::text, extnamespace::regnamespace::text FROM pg_extension"
    expected = site.execute(owners)
    assert ("vector", "bk_extender", '"ex tra"') in expected
    before = schema_dump(site.postgres, site.database)
    done = site.backup(keep_scratch=True)
    assert done.get("msg") is None
    [extension] = done["backup"]["extensions"]
    assert (extension["name"], extension["owner"], extension["schema"]) == ("vector", "bk_extender", "ex tra")
    assert site.postgres.execute(owners, done["scratch_db"]) == expected
    assert schema_dump(site.postgres, done["scratch_db"]) == before
    assert site.restore().get("msg") is None
    assert site.execute(owners) == expected
    assert schema_dump(site.postgres, site.database) == before
