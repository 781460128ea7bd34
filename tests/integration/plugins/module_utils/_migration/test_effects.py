# SPDX-License-Identifier: GPL-3.0-or-later
"""A rehearsal sees what migrations do to rows, whatever their statements look like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy, Waiver
from conftest import Postgres
from support.migrations import Bed


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    bed = Bed(postgres, postgres.database(), tmp_path)
    bed.write(
        "1_a",
        "CREATE TABLE a (id int PRIMARY KEY, c text, d text); INSERT INTO a SELECT i, i FROM generate_series(1, 9) i;"
        "CREATE TABLE b (id int); INSERT INTO b VALUES (1);"
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DROP TAB' || 'LE b'; END $$",
    )
    bed.migrate()
    return bed


SEEN = [
    ("UPDATE a SET c = ''", ["loses the values of the column c in 9 rows of the table public.a"]),
    ("UPDATE a SET c = 'x' WHERE id = id", ["gives the column c one value in all rows of the table public.a"]),
    ("DELETE FROM a WHERE id = id", ["loses 9 of 9 rows of the table public.a"]),
    ("DELETE FROM a WHERE id > 7", ["loses 2 of 9 rows of the table public.a"]),
    ("ALTER TABLE a SET UNLOGGED", ["makes the table public.a UNLOGGED, so that a crash of the server empties it"]),
    ("SELECT f()", ["loses the table public.b with 1 row"]),
    ("CREATE TABLE e (); VACUUM a; SELECT f()", ["loses the table public.b with 1 row"]),
    ("CREATE ROLE {database}_r; SELECT f()", ["loses the table public.b with 1 row"]),  # in a transaction rolled back
    ("DO $$ BEGIN EXECUTE concat('ALTER TABLE a DROP COL', 'UMN c'); END $$",
     ["loses the column c of the table public.a, which held a value in 9 rows"]),
    ("ALTER TABLE a ADD e text; UPDATE a SET e = 'x', d = 'y'", []),
    ("UPDATE a SET c = lower(c); ALTER TABLE a RENAME c TO e; ALTER TABLE a RENAME TO renamed", []),
    ("CREATE TABLE n (LIKE a); INSERT INTO n SELECT * FROM a; DROP TABLE a; ALTER TABLE n RENAME TO a", []),
    ("DROP TABLE a; CREATE TABLE x ()", ["loses the table public.a with 9 rows"]),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), SEEN)
def test_what_is_seen(bed: Bed, sql: str, expected: list[str]) -> None:
    bed.write("2_x", sql.format(database=bed.database))
    outcome = bed.rehearse()
    assert outcome.effects == [{"migration": "2_x", "effect": each} for each in expected]
    told = [f"The migration '2_x', rehearsed on a copy, {'; '.join(expected)}."] if expected else []
    assert [each for each in outcome.warnings if "rehearsed on a copy" in each] == told


def test_the_policy_is_about_effects_too(bed: Bed) -> None:
    bed.write("2_x", "CREATE TABLE x ()")
    bed.write("3_y", "UPDATE a SET c = ''")
    bed.write("4_z", "CREATE TABLE z ()")
    bed.policy = Policy({**DEFAULTS, "destructive": "deny"})
    with pytest.raises(SlipwayError) as caught:
        bed.rehearse()
    told, advice = str(caught.value).split("\n")
    assert told == (
        "The migration '3_y', rehearsed on a copy, loses the values of the column c in 9 rows of the table public.a. "
        "The database itself was not touched."
    )
    assert "{destructive: warn}" in advice
    assert bed.tables() == ["a", "b", "x"]
    bed.write("5_w", "DELETE FROM b WHERE id = id")
    bed.policy = replace(bed.policy, waivers=(Waiver("5_w", "destructive", "we know", "tester"),))
    assert len(bed.rehearse().warnings) == 1
    assert bed.sql("SELECT migration, reason FROM slipway.migration_decisions") == [("5_w", "we know")]
    bed.write("6_v", "UPDATE a SET d = NULL; DELETE FROM a")
    bed.policy = Policy({**DEFAULTS, "destructive": "allow"})
    outcome = bed.rehearse()
    assert (outcome.effects, outcome.warnings) == ([], [])


def test_what_the_same_run_brought_is_no_loss(bed: Bed) -> None:
    bed.write("2_x", "CREATE TABLE x (id int); INSERT INTO x VALUES (1); ALTER TABLE a ADD e int DEFAULT 1")
    bed.write("3_y", "INSERT INTO b VALUES (2), (3)")
    bed.write("4_z", "DELETE FROM b WHERE id > 1; DO $$ BEGIN EXECUTE 'DROP TABLE x'; END $$")
    bed.write("5_v", "ALTER TABLE a DROP e; DELETE FROM a WHERE id = 1")
    bed.write("6_u", "CREATE TABLE u ()")
    assert bed.rehearse().effects == [{"migration": "5_v", "effect": "loses 1 of 9 rows of the table public.a"}]


def test_an_empty_database_has_nothing_to_lose(postgres: Postgres, tmp_path: Path) -> None:
    bed = Bed(postgres, postgres.database(), tmp_path, policy=Policy({**DEFAULTS, "destructive": "deny"}))
    bed.write("1_a", "CREATE TABLE a (id int); INSERT INTO a VALUES (1)")
    bed.write("2_b", "DELETE FROM a; DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$")
    assert bed.rehearse().effects == []
