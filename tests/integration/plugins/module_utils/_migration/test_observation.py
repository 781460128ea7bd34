# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsal sees beside the locks, and what the policy says of all that."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import observation, traffic
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import Limits
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import Waiver
from support.migrations import Bed, denied, report


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "LONG_ENOUGH", 0)


BUSY = "LOCK TABLE t; SELECT pg_sleep(0.1)"


@pytest.fixture
def held(bed: Bed) -> Bed:
    """A database with a pending migration that holds a lock for a while."""
    bed.write("1_t", "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 5000)")
    bed.migrate()
    bed.write("2_x", BUSY)
    return bed


def test_a_lock_that_is_too_long_is_warned_of(held: Bed) -> None:
    (warning,) = held.rehearse(Limits(0.05, megabytes=0.1)).warnings
    assert re.fullmatch(
        r"The migration '2_x', rehearsed on a copy, holds ACCESS EXCLUSIVE on the table public\.t \(\d+ kB\) "
        r"for 0\.\d s: reads and writes would wait.* What takes long beside this lock belongs in "
        r"a migration of its own, which holds none\.",
        warning,
    )


@pytest.mark.parametrize(
    "limits", [Limits(0.05), Limits(5.0, megabytes=0.1)], ids=["a small table that nobody uses", "a short lock"]
)
def test_what_can_be_borne(held: Bed, limits: Limits) -> None:
    denied(held, "blocking")
    assert held.rehearse(limits).warnings == []


def test_the_policy_denies_or_waives_it(held: Bed) -> None:
    limits = Limits(0.05, megabytes=0.1)
    denied(held, "blocking")
    with pytest.raises(SlipwayError) as caught:
        held.rehearse(limits)
    found, untouched, advice = str(caught.value).split("\n")
    assert found.startswith("The migration '2_x', rehearsed on a copy, holds ACCESS EXCLUSIVE on the table public.t (")
    assert untouched == "This was a rehearsal on a copy: the database itself was not touched."
    assert advice == (
        "To go on all the same, set policy: {blocking: warn}, or add to waivers for one migration: {migration: NAME, "
        "rule: blocking, reason: WHY, author: WHO}."
    )
    rehearsal: Any = caught.value.details["rehearsal"]
    (seen,) = rehearsal
    assert (seen["migration"], seen["tables"][0]["locks"][0]["mode"]) == ("2_x", "ACCESS EXCLUSIVE")
    held.write("3_y", BUSY)
    denied(held, "blocking", Waiver("3_y", "blocking", "at night", "ada"))
    assert len(held.rehearse(limits).warnings) == 1  # 2_x was applied to this copy
    held.write("4_z", BUSY)
    denied(held, "blocking", Waiver("4_z", "blocking", "on Sunday", "ada"))
    held.migrate()  # which does not measure, but keeps the word of who let it pass
    assert ("4_z", "on Sunday") in held.sql("SELECT migration, reason FROM slipway.migration_decisions")
    denied(held, "blocking", choice="allow")
    held.write("5_w", BUSY)
    assert held.rehearse(limits).warnings == []


def test_who_would_wait_is_counted_on_the_live_database(held: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy is small and idle; it is the live database that is written to."""
    monkeypatch.setattr(traffic, "LONG_ENOUGH", 1.5)
    live = Bed(held.postgres, held.postgres.database(), held.directory)
    live.sql("CREATE TABLE t (id int PRIMARY KEY)")
    # As the extension pg_stat_statements would show it, which these servers do not have.
    monkeypatch.setattr(traffic, "_STATEMENTS", "SELECT 'shown'")
    live.sql(
        "CREATE SCHEMA shown; CREATE TABLE shown.pg_stat_statements AS SELECT oid AS dbid, query, calls "
        "FROM pg_database, (VALUES ('SELECT 1 FROM t', 9), ('ALTER TABLE t RENAME', 8), ('SELECT 1 FROM tt', 7), "
        "('SELECT  $1\n FROM  public.t ', 10)) AS v (query, calls) WHERE datname = current_database()"
    )
    ended = threading.Event()

    def use() -> None:
        with contextlib.closing(live.postgres.connect(live.database)) as opened, opened.cursor() as cursor:
            while not ended.wait(0.02):
                cursor.execute("INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t")

    thread = threading.Thread(target=use)
    thread.start()
    time.sleep(1)
    try:
        outcome = held.rehearse(Limits(0.05, 100, 2), live.database)
    finally:
        ended.set()
        thread.join()
    (table,) = report(outcome)["2_x"]["tables"]
    assert 2 < table["live_writes"] < table["live_statements"] < 200
    assert table["live_size"] > 0
    (warning,) = outcome.warnings
    assert "reads and writes would wait, about" in warning
    assert " Among them: SELECT $1 FROM public.t ; SELECT 1 FROM t. " in warning


def test_sizes_rows_and_the_log(bed: Bed) -> None:
    bed.write(
        "1_t",
        "CREATE TABLE t (id int PRIMARY KEY, v text) WITH (autovacuum_enabled = off);"  # it makes pages of its own
        "INSERT INTO t SELECT i, i FROM generate_series(1, 9999) i",
    )
    bed.migrate()
    bed.write("2_x", "INSERT INTO t SELECT i, i FROM generate_series(10001, 12000) i; DELETE FROM t WHERE id = 11;"
                     "UPDATE t SET v = 'x' WHERE id < 11")  # fmt: skip
    bed.write("3_y", "CREATE TABLE y AS SELECT repeat('y', 1000) FROM generate_series(1, 1000)")
    bed.write("2_y", "ALTER TABLE t ADD z int")
    found = report(bed.rehearse())
    (table,) = found["2_x"]["tables"]
    assert [table[f"rows_{name}"] for name in ("inserted", "updated", "deleted")] == [2000, 10, 1]
    assert table["size_before"] < table["size_after"] == bed.sql("SELECT pg_total_relation_size('t')")[0][0]
    assert found["2_x"]["wal"] > 100_000
    assert found["2_x"]["wal_own"] == (bed.postgres.version >= 18)
    assert found["3_y"]["tables"] == []  # it is new
    assert found["3_y"]["size_after"] - found["3_y"]["size_before"] >= 1_000_000
    assert [found["2_y"]["tables"][0][name] for name in ("scans", "rows_read")] == [0, 0]  # but for who counts the rows


def test_a_server_that_does_not_say_what_it_writes(held: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "_SPACE", "SELECT not_here(), {own}")
    seen = report(held.rehearse())["2_x"]
    assert [seen[name] for name in ("wal", "size_before", "size_after")] == [None, None, None]
    assert len(seen["tables"]) == 1


IN_THE_DATA = [
    ("ALTER TABLE t ALTER v SET NOT NULL", 'column "v" of relation "t" contains null values'),
    ("ALTER TABLE t ADD UNIQUE (n)", 'could not create unique index "t_n_key"'),
    ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (n)", 'could not create unique index "i"'),
    ("ALTER TABLE t ADD CHECK (n > 1)", 'check constraint "t_n_check" of relation "t" is violated by some row'),
    ("ALTER TABLE t ALTER v TYPE int USING v::int", "invalid input syntax for type integer: (value not shown)"),
    ("ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES u", 'violates foreign key constraint "t_n_fkey"'),
]


@pytest.mark.parametrize(("sql", "said"), IN_THE_DATA)
def test_what_fails_in_the_data_alone_fails_in_the_rehearsal(bed: Bed, sql: str, said: str) -> None:
    bed.write(
        "1_t",
        "CREATE TABLE t (n int, v text); INSERT INTO t VALUES (1, 'x'), (1, NULL); CREATE TABLE u (id int PRIMARY KEY)",
    )
    bed.migrate()
    bed.write("2_fine", "ALTER TABLE t ADD fine int")
    bed.write("3_x", sql)
    with pytest.raises(SlipwayError, match="Migration '3_x' failed at") as caught:
        bed.rehearse()
    assert said in str(caught.value)
    assert "This was a rehearsal on a copy: the database was not touched" in str(caught.value)
    rehearsal: Any = caught.value.details["rehearsal"]
    assert [each["migration"] for each in rehearsal] == ["2_fine"]
