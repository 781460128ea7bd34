# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup with its proof, beside what takes a dump and restores it without one.

    python bench/backup.py

Starts PostgreSQL 18 of this environment, fills databases of 30 MB, 300 MB, 1.3 GB and 5 GB with rows as an application
has them, and takes the median of three runs in turns, of the largest one run. Writes the section "A backup and its
proof" of docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from page import ROOT, write_section

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "collections")]

from conftest import Postgres, start

TITLE = "A backup and its proof"
ROUNDS = {60_000: 3, 600_000: 3, 3_000_000: 3, 11_500_000: 1}  # by the rows of the largest table
FILL = """
CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE, name text, born timestamptz);
INSERT INTO users (email, name, born)
    SELECT 'user' || g || '@example.com', 'User number ' || g, now() - g * interval '1 min'
    FROM generate_series(1, {users}) g;
CREATE TABLE runs (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint REFERENCES users, state text,
    result jsonb, log text, at timestamptz);
INSERT INTO runs (user_id, state, result, log, at) SELECT 1 + g % {users},
    (ARRAY['new', 'passed', 'failed'])[1 + g % 3],
    jsonb_build_object('seconds', g % 1000, 'host', 'runner-' || g % 50), repeat('line ' || g || ' of the log, ', 10),
    now() - g * interval '1 s' FROM generate_series(1, {runs}) g;
CREATE INDEX ON runs (user_id);
CREATE INDEX ON runs (at);
VACUUM ANALYZE;
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="slipway-", dir="/tmp") as name:
        server = start(18, Path(name))
        try:
            rows = [row(server, Path(name), runs, rounds) for runs, rounds in ROUNDS.items()]
        finally:
            server.run("pg_ctl", "-D", str(Path(name) / "data"), "-m", "immediate", "-w", "stop")
    write_section(TITLE, text(rows))


def row(server: Postgres, folder: Path, runs: int, rounds: int) -> list[str]:
    database = server.database()
    for statement in FILL.format(users=runs // 10, runs=runs).split(";\n"):
        if statement.strip():
            server.execute(statement, database)
    bytes_ = int(str(server.execute(f"SELECT pg_database_size('{database}')")[0][0]))
    ways: dict[str, Callable[[], None]] = {
        "plain": lambda: plain(server, folder, database, "6"),
        "quick": lambda: plain(server, folder, database, "1"),
        "proved": lambda: proved(server, folder, database),
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            began = time.monotonic()
            run()
            took[way].append(time.monotonic() - began)
    server.execute(f'DROP DATABASE "{database}"')
    plain_, quick, proved_ = (median(took[way]) for way in ways)
    found = [f"{bytes_ / 1e6:,.0f} MB", *(f"{each:.1f} s" for each in (plain_, quick, proved_))]
    print(*found, f"{proved_ / plain_:.2f} {proved_ / quick:.2f}", took, flush=True)
    return [*found, f"{proved_ / plain_:.2f}", f"{proved_ / quick:.2f}"]


def plain(server: Postgres, folder: Path, database: str, level: str) -> None:
    """What a person types: pg_dump, createdb, pg_restore by as many jobs as there are processors, dropdb."""
    dump, copy = folder / "plain.dump", f"{database}_plain"
    environment = {
        **os.environ, "PGHOST": str(server.socket_dir), "PGPORT": str(server.port), "PGUSER": server.user,
        "PGPASSWORD": server.password,
    }  # fmt: skip
    for words in (
        ["pg_dump", "-Fc", f"-Z{level}", "-f", str(dump), database],
        ["createdb", "-T", "template0", copy],
        ["pg_restore", f"--jobs={os.cpu_count()}", "-d", copy, str(dump)],
        ["dropdb", copy],
    ):
        subprocess.run([str(server.bindir / words[0]), *words[1:]], env=environment, check=True)


def proved(server: Postgres, folder: Path, database: str) -> None:
    """The module as Ansible runs it, in a process of its own."""
    arguments = {
        **server.login(database), "bindir": str(server.bindir), "directory": str(folder / "backups"),
        "application": "bench", "environment_name": "test", "keep": 1,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "ansible_collections.slipway.deploy.plugins.modules.backup"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def text(rows: list[list[str]]) -> str:
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    table = ["| database | dump and restore | the same at level 1 | Slipway | ratio | ratio at level 1 |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    table += [f"| {' | '.join(each)} |" for each in rows]
    return "\n".join([
        "`pg_dump -Fc`, `createdb`, `pg_restore --jobs`, `dropdb`, with pg_dump's own compression and with Slipway's, "
        "beside `slipway.deploy.backup`: the same and the comparison of rows, contents, sequences and schema, two "
        "checksums, the manifest, the start of a module. Median of three in turns, of 5 GB one run; the largest "
        f"process had {memory:.0f} MB.",
        "",
        *table,
    ])  # fmt: skip


if __name__ == "__main__":
    main()
