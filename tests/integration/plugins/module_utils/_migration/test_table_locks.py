# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsal says of locks is what another session sees in pg_locks."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._migration import table_locks
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import mode
from support.migrations import Bed, denied, report

TABLES = """
    CREATE TABLE t (id int PRIMARY KEY, n int, v text, ref int, old int);
    INSERT INTO t SELECT i, i, i, i % 9 + 1, i FROM generate_series(1, 5000) AS i;
    CREATE TABLE p (id int PRIMARY KEY);
    INSERT INTO p SELECT generate_series(1, 9);
    CREATE TABLE empty (id int);
    CREATE VIEW w AS SELECT id FROM p;
    CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM p
"""
SLEEP = 0.15
# A change, the strongest lock of each table, the tables that are rewritten, those that are read as a whole.
CHANGES = [
    ("ALTER TABLE t ADD a int", {"t": "ACCESS EXCLUSIVE"}, "", ""),
    ("ALTER TABLE t ADD b float DEFAULT random()", {"t": "ACCESS EXCLUSIVE"}, "t", "t"),
    ("ALTER TABLE t ALTER n TYPE bigint", {"t": "ACCESS EXCLUSIVE"}, "t", "t"),
    ("ALTER TABLE t ALTER v SET NOT NULL", {"t": "ACCESS EXCLUSIVE"}, "", "t"),
    ("ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)", {"t": "ACCESS EXCLUSIVE"}, "", "t"),
    ("ALTER TABLE t ADD CONSTRAINT to_p FOREIGN KEY (ref) REFERENCES p",
     {"t": "SHARE ROW EXCLUSIVE", "p": "SHARE ROW EXCLUSIVE"}, "", "t p"),
    ("ALTER TABLE t ADD CONSTRAINT later FOREIGN KEY (ref) REFERENCES p NOT VALID",
     {"t": "SHARE ROW EXCLUSIVE", "p": "SHARE ROW EXCLUSIVE"}, "", ""),
    ("ALTER TABLE t VALIDATE CONSTRAINT later", {"t": "SHARE UPDATE EXCLUSIVE", "p": "ROW SHARE"}, "", "t p"),
    ("CREATE INDEX plain ON t (n)", {"t": "SHARE"}, "", "t"),
    ("ALTER TABLE t ADD CONSTRAINT one UNIQUE (v)", {"t": "ACCESS EXCLUSIVE"}, "", "t"),
    ("ALTER TABLE t DROP COLUMN old", {"t": "ACCESS EXCLUSIVE"}, "", ""),
    ("ALTER TABLE t RENAME n TO number", {"t": "ACCESS EXCLUSIVE"}, "", ""),
    ("UPDATE t SET number = 0 WHERE id <= 100; DELETE FROM t WHERE id > 4990", {"t": "ROW EXCLUSIVE"}, "", ""),
    ("TRUNCATE empty; INSERT INTO empty VALUES (1)", {"empty": "ACCESS EXCLUSIVE"}, "", ""),
    ("DROP VIEW w; REFRESH MATERIALIZED VIEW m", {"w": "ACCESS EXCLUSIVE", "m": "ACCESS EXCLUSIVE"}, "m", ""),
    ("CREATE TABLE new (id int REFERENCES p); CREATE INDEX ON new (id)", {"p": "SHARE ROW EXCLUSIVE"}, "", ""),
    ("DROP TABLE new", {"new": "ACCESS EXCLUSIVE", "p": "ACCESS EXCLUSIVE"}, "", ""),
    ("CREATE INDEX CONCURRENTLY {name} ON t (v)", {"t": "SHARE UPDATE EXCLUSIVE"}, "", "t"),
]  # fmt: skip
NAMES = [f"{number:02}_x" for number in range(10, 10 + len(CHANGES))]
STRENGTH = [
    "ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE",
    "ACCESS EXCLUSIVE",
]  # fmt: skip
# As a person would ask: what the session of the migrations is doing, and its locks on what others can see.
DOING = """
    SELECT query, query_start::text, xact_start::text, wait_event, pid
      FROM pg_stat_activity WHERE application_name = 'slipway migrations' AND datname = current_database()
"""
LOCKS = """
    SELECT relation::regclass::text, mode
      FROM pg_locks JOIN pg_class ON oid = relation
     WHERE pid = %s AND locktype = 'relation' AND granted AND relkind IN ('r', 'p', 'm', 'v')
       AND relnamespace = 'public'::regnamespace AND relname <> '_prisma_migrations'
"""


@dataclass
class Witness:
    """Another session, which looks at pg_locks all the time: what it saw by migration and lock, and for how long."""

    bed: Bed
    held: dict[tuple[str, str, str], float] = field(default_factory=dict)
    waiting: int = 0

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        ended = threading.Event()
        with (
            contextlib.closing(self.bed.postgres.connect(self.bed.database)) as own,
            contextlib.closing(self.bed.postgres.connect(self.bed.database)) as snapshot,
        ):
            # A concurrent build of an index waits for it, and nothing else does.
            snapshot.cursor().execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
            thread = threading.Thread(target=self.look, args=(own.cursor(), snapshot, ended))
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join()

    def look(self, cursor: Any, snapshot: Any, ended: threading.Event) -> None:
        since: dict[tuple[str, ...], float] = {}
        while not ended.is_set():
            cursor.execute(DOING)
            doing = cursor.fetchone()
            if doing is None:
                continue
            query, _, transaction, event, pid = doing
            cursor.execute(LOCKS, (pid,))
            now, rows = time.monotonic(), cursor.fetchall()
            cursor.execute(DOING)
            # A concurrent build of an index is several transactions.
            work = query if "CONCURRENTLY" in query else transaction
            since = {(work, *lock): since.get((work, *lock), now) for lock in rows}
            migration = re.search(r"\d\d_x", query)
            if migration and event in ("PgSleep", "virtualxid") and cursor.fetchone() == doing:
                for table, name in rows:
                    self.held[migration.group(), table, mode(name)] = now - since[work, table, name]
                self.waiting += event == "virtualxid"
            if self.waiting == 20:
                snapshot.cursor().execute("ROLLBACK")


def test_the_report_is_what_another_session_sees(bed: Bed) -> None:
    bed.write("01_t", TABLES)
    bed.migrate()
    for name, (sql, *_) in zip(NAMES, CHANGES, strict=True):
        sleeps = "" if "CONCURRENTLY" in sql else f'; SELECT pg_sleep({SLEEP}) AS "{name}"'
        bed.write(name, sql.format(name=f'"{name}"') + sleeps)
    denied(bed, "destructive", choice="allow")
    witness = Witness(bed)
    with witness.looking():
        outcome = bed.rehearse()
    found = report(outcome)
    locks = {
        (name, table["table"].removeprefix("public."), lock["mode"]): lock["seconds"]
        for name, each in found.items()
        for table in each["tables"]
        for lock in table["locks"]
    }
    assert sorted(locks) == sorted(witness.held)
    for lock, seconds in locks.items():
        assert witness.held[lock] - 0.02 <= seconds <= witness.held[lock] + 0.3, lock
    for name, (sql, strongest, rewritten, scanned) in zip(NAMES, CHANGES, strict=True):
        tables = {table["table"].removeprefix("public."): table for table in found[name]["tables"]}
        modes = {
            table: max((lock["mode"] for lock in each["locks"]), key=STRENGTH.index) for table, each in tables.items()
        }
        assert {table: each for table, each in modes.items() if each != "ACCESS SHARE"} == strongest, sql
        assert [table for table, each in tables.items() if each["rewritten"]] == rewritten.split(), sql
        whole = {"t": 4900, "p": 9}
        assert {table for table in whole if (tables.get(table, {}).get("rows_read") or 0) >= whole[table]} >= set(
            scanned.split()
        ), sql
        assert found[name]["complete"]
    assert all(each["seconds"] >= SLEEP for name, each in found.items() if name != NAMES[-1])


def test_what_is_rolled_back_is_seen_as_far_as_it_can_be(bed: Bed) -> None:
    bed.user = "postgres"
    bed.write("1_t", "CREATE TABLE t (id int); CREATE TABLE u (id int)")
    bed.migrate()
    bed.write("2_x", f"CREATE ROLE {bed.database}_more; ALTER TABLE t ADD x int")
    bed.write("3_y", "ALTER TABLE t ADD y int; ALTER TABLE u ADD y int")
    found = report(bed.rehearse())
    assert [[table["table"] for table in found[name]["tables"]] for name in ("2_x", "3_y")] == [
        ["public.t"],
        ["public.u"],
    ]
    assert [found[name]["complete"] for name in ("2_x", "3_y")] == [True, False]  # the transaction has the lock on t


TRANSACTIONS = [
    "BEGIN; LOCK TABLE t; SELECT pg_sleep(0.05); COMMIT; BEGIN; LOCK TABLE t; COMMIT",
    "BEGIN; LOCK TABLE t; SELECT pg_sleep(0.05); ROLLBACK; CREATE TABLE x ()",
    "BEGIN; LOCK TABLE t; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT pg_sleep(0.05); COMMIT",
]


@pytest.mark.parametrize("sql", TRANSACTIONS)
@pytest.mark.parametrize("together", [0, 1000], ids=["looking after each statement", "looking at the end"])
def test_the_longest_of_a_files_own_transactions_counts(
    bed: Bed, sql: str, together: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_locks, "_TOGETHER", together)
    bed.write("1_t", "CREATE TABLE t (id int)")
    bed.migrate()
    bed.write("2_x", sql)
    ((lock,),) = [table["locks"] for table in report(bed.rehearse())["2_x"]["tables"]]
    assert lock["mode"] == "ACCESS EXCLUSIVE"
    assert 0.05 <= lock["seconds"] < 0.5
