# SPDX-License-Identifier: GPL-3.0-or-later
"""A checksum over rows is another one when anything in them is, and the same in another order and in a copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup import checksums
from ansible_collections.slipway.deploy.plugins.module_utils._backup.contents import moment
from support.backup import Site, faulty

ODD = '''
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text);
CREATE TABLE odd (
    id int, "Zwölf ""Affen""" text, c text COLLATE "C", number numeric, real_ real, double_ float8, money_ money,
    at timestamptz, span interval, bits bit(4), bytes bytea, json_ json, jsonb_ jsonb, list text[], feeling mood,
    pair pair, range_ int4range, point_ point, padded char(8), net inet, found tsvector, none int,
    twice int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO odd VALUES (1, 'a', 'a', 1.0, 0.1, 0.1, 3.5, '2025-01-01 00:00+02', '1 day', '1010', 'abc', '{"a": 1}',
    '{"a": 1.0}', '{a,NULL}', 'sad', '(1,b)', '[1,3)', '(1,2)', 'x', '10.0.0.1', 'a b', NULL),
    (2, '', '', 0, '-Infinity', 'NaN', 0, 'infinity', '-1 mon', '0000', '', 'null', '[]', '{}', 'ok', '(,)', 'empty',
    '(0,0)', '', '::1', '', NULL);
SELECT lo_from_bytea(4711, convert_to(repeat('large', 1000000), 'UTF8')); SELECT lo_from_bytea(4712, '');
'''
CHANGES = [
    "id = 3 WHERE id = 2", '"Zwölf ""Affen""" = NULL WHERE id = 2', "c = 'A' WHERE id = 1", "number = 1.00",
    "real_ = 0.10000002", "double_ = 0.10000000000000002 WHERE id = 1", "money_ = 3.51 WHERE id = 1",
    "at = '2025-01-01 00:00:00.000001+02' WHERE id = 1", "span = '24 hours' WHERE id = 1", "bits = '1011' WHERE id = 1",
    r"bytes = '\x00' WHERE id = 2", """json_ = '{"a":1}' WHERE id = 1""", """jsonb_ = '{"a": 1.00}' WHERE id = 1""",
    "list = '{a,b}' WHERE id = 1", "feeling = 'ok' WHERE id = 1", "pair = '(1,c)' WHERE id = 1",
    "range_ = '[1,4)' WHERE id = 1", "point_ = '(1,2.5)' WHERE id = 1", "padded = 'y' WHERE id = 1",
    "net = '10.0.0.1/8' WHERE id = 1", "found = 'a' WHERE id = 1", "none = 0 WHERE id = 1",
]  # fmt: skip


def read(site: Site, method: str, *changes: str) -> list[tuple[str, str]]:
    """The checksums of the table and of the large objects, after each of some changes, which are not kept."""
    opened = site.postgres.connect(site.database)
    opened.autocommit = False
    found = []
    for change in changes or ("SELECT",):
        with moment(opened) as cursor:
            cursor.execute(change)
            rows, sums = checksums.read(cursor, ["public.odd"], method)
            assert rows == {"public.odd": 2}
            found.append((sums["public.odd"][0], checksums.large_objects(cursor, method)))
            opened.rollback()
    opened.close()
    return found


@pytest.mark.parametrize("method", checksums.METHODS)
def test_every_change_is_seen_and_no_other_order(site: Site, method: str) -> None:
    site.execute(ODD)
    (before,) = read(site, method)
    tables = read(site, method, *(f"UPDATE public.odd SET {change}" for change in CHANGES))
    assert len({before[0], *(table for table, _ in tables)}) == len(CHANGES) + 1
    assert {large for _, large in tables} == {before[1]}
    changes = ("lo_put(4711, 4999999, 'x')", "lo_put(4711, 5000000, 'x')", "lo_unlink(4711)")
    objects = read(site, method, *(f"SELECT {change}" for change in changes))
    assert len({before[1], *(large for _, large in objects)}) == len(changes) + 1
    assert {table for table, _ in objects} == {before[0]}
    site.execute("UPDATE odd SET id = id WHERE id = 1")  # which now comes last
    assert site.execute("SELECT id FROM odd") == [(2,), (1,)]
    assert read(site, method) == [before]


def test_a_copy_has_the_same_and_the_manifest_keeps_them(site: Site) -> None:
    site.execute(ODD)
    site.execute(f"ALTER DATABASE \"{site.database}\" SET datestyle = 'German'")
    done = site.backup(keep_scratch=True)
    assert done.get("msg") is None
    kept = done["backup"]["contents"]
    copy = Site(site.postgres, done["scratch_db"], site.directory)
    assert [(kept["public.odd"][0], kept[checksums.LARGE_OBJECTS][0])] == read(copy, done["backup"]["method"])
    assert done["backup"]["method"] == checksums.RECORD
    assert kept["public.t"][0] not in ("", "0")
    assert site.restore(backup=done["backup"]["name"]).get("msg") is None
    assert site.backup(contents_limit=0)["backup"]["contents"] == {}


# Runs the true pg_restore and then changes one value, so that all numbers of rows are still as they were.
ALTERED = """
case "$*" in *--dbname*) ;; *) exec "$real" "$@" ;; esac
"$real" "$@" || exit
for word; do case "$word" in --dbname=*) database="${{word#--dbname=}}" ;; esac; done
{psql} -qX "$database" -c "{sql}"
"""


def test_one_value_that_is_another_is_no_backup(site: Site, tmp_path: Path) -> None:
    site.execute("SELECT lo_from_bytea(4711, 'abc')")
    proved = site.backup()["backup"]["name"]
    for number, (sql, said) in enumerate({
        "UPDATE t SET x = 'y' WHERE id = 7": "public.t holds other values",
        "SELECT lo_put(4711, 0, 'x')": "the large objects hold other values",
    }.items()):  # fmt: skip
        script = ALTERED.format(psql=site.postgres.bindir / "psql", sql=sql)
        bad = faulty(site.postgres.bindir, tmp_path / f"bin{number}", "pg_restore", script)
        assert said in site.backup(bindir=bad)["msg"]
        assert said in site.restore(bindir=bad, backup=proved)["msg"]
        assert site.files() == [f"{proved}.dump", f"{proved}.json"]
        assert site.databases() == []
    assert site.execute("SELECT count(*) FROM t WHERE x = 'y'") == [(0,)]


def test_generated_columns_that_a_restore_computes_otherwise_are_told(site: Site) -> None:
    half = "CREATE OR REPLACE FUNCTION half(int) RETURNS int IMMUTABLE LANGUAGE sql SET search_path = '' RETURN"
    site.execute(f"{half} $1 / 2")
    site.execute("CREATE TABLE g (a int, h int GENERATED ALWAYS AS (public.half(a)) STORED); INSERT INTO g VALUES (8)")
    site.execute(f"{half} $1")
    assert "the generated columns of public.g are computed otherwise" in site.backup()["msg"]
    done = site.backup(unprovable="they are to be computed anew")["backup"]
    assert done["unproved"] == ["the generated columns of public.g are computed otherwise"]
    assert site.restore(backup=done["name"]).get("msg") is None
    assert site.execute("SELECT h FROM g") == [(8,)]
