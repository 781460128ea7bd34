#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies the same migrations with Slipway, psql, dbmate and Alembic, and writes how long each takes.

Run it with the project's environment: ``.venv/bin/python bench/migrations.py``. It installs its peers from their
packages below ``.cache/bench``, starts a throw-away PostgreSQL 16 with its default settings, and writes
the section "Migrations" of ``docs/benchmarks.md``.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "collections"), str(ROOT / "tests")]

from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read
from conftest import Postgres, start

CACHE = ROOT / ".cache" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
ROUNDS = 5
SIZES = (100, 1000)
SQL = "CREATE TABLE t{n} (id bigint PRIMARY KEY, name text NOT NULL);\n"

# What Ansible does with the module, without its transport: arguments in, the module's main().
MODULE = """
import sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = open(sys.argv[1], "rb").read(), "legacy"
from ansible_collections.slipway.deploy.plugins.modules import migrations
migrations.main()
"""
BASE = "from ansible.module_utils import basic"
ALEMBIC_ENV = """
import os
from alembic import context
from sqlalchemy import create_engine
with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""


# Starts a command, and prints its wall time and largest resident set. A small process of its own, because a child's
# memory is counted from that of the process that forked it.
MEASURE = """
import os, sys, time
began = time.monotonic()
pid = os.spawnvp(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print()
print(time.monotonic() - began, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@dataclass
class Usage:
    """Wall time in seconds, of which on the controller, and the largest resident set in MiB of a process."""

    seconds: float
    memory: float
    controller: float = 0.0


def run(command: list[str], environment: dict[str, str] | None = None) -> Usage:
    """Run a command to its end; its output is shown only when it fails."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *command],
        cwd=CACHE, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:]}")
    seconds, memory = done.stdout.split()[-2:]
    return Usage(float(seconds), int(memory) / 1024)


class Slipway:
    """Reading on the controller and the module's process, added up."""

    name = "Slipway"

    def prepare(self, directory: Path, count: int) -> None:
        self.files = directory / "slipway"
        for n in range(count):
            (self.files / f"{20250101000000 + n}_t").mkdir(parents=True)
            (self.files / f"{20250101000000 + n}_t" / "migration.sql").write_text(SQL.format(n=n))
        self.arguments = directory / "arguments.json"

    def apply(self, postgres: Postgres, database: str) -> Usage:
        began = time.monotonic()
        payload = read(str(self.files)).lint().payload.dump()
        controller = time.monotonic() - began
        given = {**postgres.login(database), "path": str(self.files), "_payload": payload}
        self.arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": given}))
        module = run([sys.executable, "-c", MODULE, str(self.arguments)], {"PYTHONPATH": str(ROOT / "collections")})
        return Usage(controller + module.seconds, module.memory, controller)


class Psql:
    """One process, one file that holds all of them; no history, and nothing to be found when it runs again."""

    name = "psql, one file"

    def prepare(self, directory: Path, count: int) -> None:
        self.file = directory / "all.sql"
        self.file.write_text("".join(SQL.format(n=n) for n in range(count)))

    def apply(self, postgres: Postgres, database: str) -> Usage:
        login = ["-h", str(postgres.socket_dir), "-U", postgres.user, "-d", database]
        return run(
            [str(postgres.bindir / "psql"), "-qX", *login, "-f", str(self.file)], {"PGPASSWORD": postgres.password}
        )


class Dbmate:
    """From its npm package."""

    name = "dbmate"

    def install(self) -> None:
        if not (CACHE / "node_modules" / ".bin" / "dbmate").exists():
            run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "dbmate@2.28.0"])

    def prepare(self, directory: Path, count: int) -> None:
        self.files = directory / "dbmate"
        self.files.mkdir()
        for n in range(count):
            (self.files / f"{20250101000000 + n}_t.sql").write_text(
                f"-- migrate:up\n{SQL.format(n=n)}-- migrate:down\n"
            )

    def apply(self, postgres: Postgres, database: str) -> Usage:
        url = f"postgres://{postgres.user}:{postgres.password}@/{database}?socket={postgres.socket_dir}&sslmode=disable"
        binary = next((CACHE / "node_modules" / "@dbmate").glob("*/bin/dbmate"))
        return run([str(binary), "--url", url, "--migrations-dir", str(self.files), "--no-dump-schema", "up"])


class Alembic:
    """From its Python package, in an environment of its own."""

    name = "Alembic"

    def install(self) -> None:
        if not (CACHE / "alembic" / "bin" / "alembic").exists():
            venv.create(CACHE / "alembic", with_pip=True)
            run([str(CACHE / "alembic" / "bin" / "pip"), "install", "-q", "alembic==1.16.5", "psycopg2-binary==2.9.10"])

    def prepare(self, directory: Path, count: int) -> None:
        self.directory = directory / "alembic"
        (self.directory / "versions").mkdir(parents=True)
        (self.directory / "env.py").write_text(ALEMBIC_ENV)
        (directory / "alembic.ini").write_text(f"[alembic]\nscript_location = {self.directory}\n")
        self.configuration = directory / "alembic.ini"
        for n in range(count):
            before = f"'{n - 1}'" if n else None
            (self.directory / "versions" / f"{n}.py").write_text(
                f'from alembic import op\nrevision, down_revision = "{n}", {before}\n'
                f'def upgrade():\n    op.execute("{SQL.format(n=n).strip()}")\n'
            )

    def apply(self, postgres: Postgres, database: str) -> Usage:
        url = f"postgresql+psycopg2://{postgres.user}:{postgres.password}@/{database}?host={postgres.socket_dir}"
        alembic = str(CACHE / "alembic" / "bin" / "alembic")
        return run([alembic, "-c", str(self.configuration), "upgrade", "head"], {"DATABASE_URL": url})


def median(measure: Callable[[], Usage]) -> Usage:
    """The median of the rounds."""
    found = [measure() for _ in range(ROUNDS)]
    return Usage(statistics.median(each.seconds for each in found), max(each.memory for each in found))


def measure(postgres: Postgres, directory: Path) -> dict[str, dict[str, Usage]]:
    """Every figure of every tool. The rounds of the tools take turns, so that a busy moment hits all of them.

    What the run before has left to be written to the disk is written before the next begins.
    """
    tools = [Slipway(), Psql(), Dbmate(), Alembic()]
    rounds: dict[str, dict[str, list[Usage]]] = {tool.name: {} for tool in tools}
    for size in SIZES:
        for tool in tools:
            shutil.rmtree(directory / tool.name, ignore_errors=True)
            (directory / tool.name).mkdir()
            tool.prepare(directory / tool.name, size)
        for number in range(ROUNDS):
            for tool in tools[number % len(tools) :] + tools[: number % len(tools)]:
                database = postgres.database()
                postgres.execute("CHECKPOINT")
                os.sync()
                rounds[tool.name].setdefault(f"{size} files", []).append(tool.apply(postgres, database))
                if size == SIZES[-1] and not isinstance(tool, Psql):
                    rounds[tool.name].setdefault("no-op", []).append(tool.apply(postgres, database))
    return {
        name: {
            label: Usage(
                statistics.median(use.seconds for use in uses),
                max(use.memory for use in uses),
                statistics.median(use.controller for use in uses),
            )
            for label, uses in of_tool.items()
        }
        for name, of_tool in rounds.items()
    }


def section(figures: dict[str, dict[str, Usage]], base: float, version: str) -> str:
    """The section of the page."""
    largest, noop = f"{SIZES[-1]} files", figures["Slipway"]["no-op"]
    psql, ours = figures["psql, one file"][largest].seconds, figures["Slipway"][largest]
    labels = [f"{size} files" for size in SIZES] + ["no-op"]
    rows = [
        f"| {name} | "
        + " | ".join(f"{use[label].seconds:.2f}" if label in use else "" for label in labels)
        + f" | {use[largest].memory:.0f} |"
        for name, use in figures.items()
    ]
    names = ", ".join(f'"{name}"' for name in figures)
    bars = ", ".join(f"{use[largest].seconds:.2f}" for use in figures.values())
    return textwrap.dedent(
        """\
        ## Migrations

        Files of one `CREATE TABLE` each; seconds of wall time, median of {rounds} rounds in which the tools took turns;
        the largest resident memory of the process in MiB, at {largest}. A no-op is a second run. For Slipway the time
        is that of reading, parsing and linting on the controller ({controller:.2f} s of it at {largest}) plus that of
        the module's process on the host, without Ansible's transport. psql keeps no history. PostgreSQL {version} with
        its default settings, {cpus} processors, {machine}, Python {python}.

        | tool | {sizes} | no-op at {count} | MiB |
        |---|{lines}---|---|
        {rows}

        - {largest}: {ratio:.2f} times psql; the module's process alone {alone:.2f} times.
        - No-op at {count}: {work:.3f} s above the {base:.3f} s that Python and Ansible's own module code take to start.

        ```mermaid
        xychart-beta
            title "Seconds for {largest}"
            x-axis [{names}]
            y-axis "seconds"
            bar [{bars}]
        ```
        """
    ).format(
        rounds=ROUNDS,
        largest=largest,
        version=version,
        cpus=os.cpu_count(),
        machine=platform.machine(),
        python=platform.python_version(),
        sizes=" | ".join(f"{size} files" for size in SIZES),
        count=SIZES[-1],
        lines="---|" * len(SIZES),
        rows="\n".join(rows),
        ratio=ours.seconds / psql,
        alone=(ours.seconds - ours.controller) / psql,
        controller=ours.controller,
        work=noop.seconds - noop.controller - base,
        base=base,
        names=names,
        bars=bars,
    )


def write(text: str) -> None:
    """Put the section into the page, in place of an earlier one."""
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n\nEach section is written by a script in `bench/`.\n"
    before, _, rest = page.partition("\n## Migrations\n")
    _, found, after = rest.partition("\n## ")
    PAGE.write_text(f"{before.rstrip()}\n\n{text}" + (f"\n## {after}" if found else ""))


def main() -> None:
    """Measure and write."""
    CACHE.mkdir(parents=True, exist_ok=True)
    Dbmate().install()
    Alembic().install()
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    postgres = start(16, directory)
    data, log = str(directory / "data"), str(directory / "log")
    try:  # the fixture's server has fsync off
        settings = f"-k {directory} -c listen_addresses=''"
        postgres.run("pg_ctl", "-D", data, "-l", log, "-w", "-m", "fast", "-o", settings, "restart")
        base = median(lambda: run([sys.executable, "-c", BASE])).seconds
        version = str(postgres.execute("SHOW server_version")[0][0])
        text = section(measure(postgres, directory), base, version)
    finally:
        postgres.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(directory)
    write(text)
    print(text)


if __name__ == "__main__":
    main()
