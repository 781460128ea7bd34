# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of Ansible that is told to stop while a statement runs: nothing is applied twice, and the prompt comes last."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Postgres
from support.migrations import Bed
from support.modules import ROOT

# More of them in the soak: 100 runs that Ctrl-C stops at a random moment, and a tenth of that of each other kind.
STOPS = int(os.environ.get("SLIPWAY_STOPS", "1"))
TENTH = -(-STOPS // 10)
OURS = "SELECT state, query FROM pg_stat_activity WHERE application_name LIKE 'slipway migrations%'"
APPLIED = """
    SELECT count(*) FROM _prisma_migrations
     WHERE migration_name = '2_m' AND finished_at IS NOT NULL AND rolled_back_at IS NULL
"""
SLEEPS = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
FACTOR = 100
SECONDS = 0.8 if STOPS > 1 else 30
PAUSE = "CREATE TABLE pause (seconds) AS VALUES (0.0)"


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    directory = tmp_path / "migrations"
    directory.mkdir()
    return Bed(postgres, postgres.database(), directory)


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(bed: Bed, module: str, **more: object) -> subprocess.Popen[str]:
    """Ansible with one task on the local host, in a session of its own like a terminal's."""
    arguments = {**bed.postgres.login(bed.database), "path": str(bed.directory), **more}
    return subprocess.Popen(
        [
            str(Path(sys.executable).with_name("ansible")), "localhost", "--connection", "local",
            "--module-name", f"slipway.deploy.{module}", "--args", json.dumps(arguments),
            "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(bed.directory.parent)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def process(controller: int, target: str) -> int:
    """The controller, its worker, or the module, which is the last below it."""
    if target == "controller":
        return controller
    found = children(controller)[0]
    while target == "module" and (below := children(found)):
        found = below[0]
    return found


def counted(bed: Bed) -> int:
    return int(str(bed.sql("SELECT n::bigint FROM counter")[0][0]))


def strike(bed: Bed, run: subprocess.Popen[str], target: str, name: str, after: float) -> str:
    """Send a signal so many seconds after the statement has begun; what the run has written until its end."""
    until(lambda: bed.sql(SLEEPS) or run.poll() is not None)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError, FileNotFoundError, IndexError):  # it has ended meanwhile
        os.kill(process(run.pid, target), signal.Signals[name])
    output = run.communicate(timeout=120)[0]
    if (target, name) == ("controller", "SIGINT"):
        assert bed.sql(OURS) == []  # all is over when the prompt returns
    until(lambda: bed.sql(OURS) == [])
    return output


CASES = [
    ("controller", "SIGINT"),
    ("controller", "SIGTERM"),
    ("controller", "SIGHUP"),
    ("controller", "SIGKILL"),
    ("worker", "SIGINT"),
    ("worker", "SIGTERM"),
    ("worker", "SIGKILL"),
    ("module", "SIGINT"),
    ("module", "SIGTERM"),
    ("module", "SIGHUP"),
]
FEW = [CASES[0], CASES[6], CASES[8]]


@pytest.mark.parametrize(("target", "name"), CASES if STOPS > 1 else FEW)
def test_what_ends_a_run_leaves_all_or_nothing(bed: Bed, target: str, name: str) -> None:
    bed.write("1_m", f"CREATE TABLE counter (n numeric); INSERT INTO counter VALUES (1); {PAUSE}")
    bed.migrate()
    bed.write("2_m", f"UPDATE counter SET n = n * {FACTOR}; SELECT pg_sleep(seconds) FROM pause")
    chance = random.Random(0)
    for _ in range(STOPS if (target, name) == CASES[0] else TENTH):
        bed.sql(f"UPDATE pause SET seconds = {SECONDS}; UPDATE counter SET n = 1")
        bed.sql("DELETE FROM _prisma_migrations WHERE migration_name = '2_m'")
        output = strike(
            bed, start(bed, "migrations"), target, name, chance.uniform(0, 1.5 * SECONDS) if STOPS > 1 else 0.1
        )
        assert [(1 if counted(bed) == 1 else FACTOR,)] == [(counted(bed),)]
        assert bed.sql(APPLIED) == [(int(counted(bed) == FACTOR),)], output
        if STOPS == 1:
            assert counted(bed) == 1, output
            said = f"Interrupted by {name}: nothing was kept; run again to go on."
            assert (said in output) == (name != "SIGKILL"), output
        bed.sql("UPDATE pause SET seconds = 0")
        bed.migrate()
        assert counted(bed) == FACTOR
        assert bed.sql(APPLIED) == [(1,)]


def test_what_ends_an_undo_leaves_all_or_nothing(bed: Bed) -> None:
    bed.write("1_m", f"CREATE TABLE counter (n numeric); INSERT INTO counter VALUES (1); {PAUSE}")
    bed.write("2_m", f"UPDATE counter SET n = n * {FACTOR}")
    down = f"UPDATE counter SET n = n / {FACTOR}; SELECT pg_sleep(seconds) FROM pause"
    (bed.directory / "2_m" / "down.sql").write_text(down)
    chance = random.Random(0)
    for _ in range(TENTH):
        bed.migrate()
        bed.sql(f"UPDATE pause SET seconds = {SECONDS}")
        run = start(bed, "migration_undo", names=["2_m"])
        output = strike(bed, run, "controller", "SIGINT", chance.uniform(0, 1.5 * SECONDS) if STOPS > 1 else 0.1)
        assert bed.sql(APPLIED) == [(int(counted(bed) == FACTOR),)], output
        assert counted(bed) in (1, FACTOR)
        if STOPS == 1:
            assert "Interrupted by SIGINT: nothing was kept; run again to go on." in output, output
        bed.sql("UPDATE pause SET seconds = 0")
        bed.undo("2_m")
        assert counted(bed) == 1


def test_the_interruption_says_what_was_applied_before_it(bed: Bed) -> None:
    bed.write("1_m", "CREATE TABLE a ()")
    bed.write("2_m", "CREATE TABLE b (id int); CREATE INDEX CONCURRENTLY i ON b (id); SELECT pg_sleep(5)")
    output = strike(bed, start(bed, "migrations"), "module", "SIGTERM", 0)
    said = "Interrupted by SIGTERM: 1_m was applied, 2_m is half-applied, nothing else was kept"
    assert said in output, output
