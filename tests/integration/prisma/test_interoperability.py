# SPDX-License-Identifier: GPL-3.0-or-later
"""Slipway and real Prisma Migrate on the same databases: each carries on what the other did, with the same rows."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Postgres
from integration.migration_bed import Bed

HERE = Path(__file__).parent
WORK = HERE.parents[2] / ".cache" / "prisma"
CONTENT = (
    "SELECT migration_name, checksum, finished_at IS NOT NULL, finished_at = started_at, rolled_back_at IS NOT NULL, "
)
CONTENT += (
    "applied_steps_count, length(id), id ~ '^[0-9a-f-]{36}$' FROM _prisma_migrations ORDER BY started_at, finished_at"
)


@pytest.fixture(scope="session")
def prisma_directory() -> Path:
    """Prisma from its package, with the configuration that lies beside this file."""
    if not shutil.which("npm"):
        missing = "npm is not installed, so that Prisma can't be"
        pytest.fail(missing) if os.environ.get("SLIPWAY_TEST_ALL") else pytest.skip(missing)
    WORK.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "prisma.config.ts", "schema.prisma", "unref.cjs"):
        shutil.copy(HERE / name, WORK)
    if not (WORK / "node_modules" / ".bin" / "prisma").exists():
        install = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run(install, cwd=WORK, check=True, timeout=600)
    return WORK


class Both(Bed):
    """A database that Slipway and Prisma share."""

    prisma_directory: Path

    def prisma(self, *arguments: str) -> tuple[int, str]:
        """Run ``prisma migrate`` and return its exit code and what it said."""
        environment = {
            **os.environ,
            "PGHOST": str(self.postgres.socket_dir),
            "PGPORT": str(self.postgres.port),
            "PGUSER": self.postgres.user,
            "PGPASSWORD": self.postgres.password,
            "PGDATABASE": self.database,
            "SCHEMA": self.schema,
            "MIGRATIONS": str(self.directory),
            "CHECKPOINT_DISABLE": "1",
            "NO_COLOR": "1",
            "NODE_OPTIONS": "--require ./unref.cjs",
            # A program in their place keeps Prisma from downloading its engines. It asks one whether it can connect.
            "PRISMA_QUERY_ENGINE_LIBRARY": "/bin/true",
            "PRISMA_SCHEMA_ENGINE_BINARY": "/bin/true",
        }
        done = subprocess.run(
            ["node_modules/.bin/prisma", "migrate", *arguments],
            cwd=self.prisma_directory, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def prisma_fails(self, *arguments: str) -> str:
        code, said = self.prisma(*arguments)
        assert code != 0, said
        return said

    def prisma_does(self, *arguments: str) -> str:
        code, said = self.prisma(*arguments)
        assert code == 0, said
        return said

    def content(self) -> list[tuple[object, ...]]:
        return self.sql(CONTENT)


@pytest.fixture
def beds(postgres: Postgres, tmp_path: Path, prisma_directory: Path) -> Callable[[], Both]:
    def fresh() -> Both:
        bed = Both(postgres, postgres.database(), tmp_path / "migrations")
        bed.prisma_directory = prisma_directory
        bed.directory.mkdir(exist_ok=True)
        return bed

    return fresh


@pytest.fixture
def bed(beds: Callable[[], Both]) -> Both:
    bed = beds()
    bed.write("1_a", "CREATE TABLE a (id int);\n")
    bed.write("2_b", "CREATE TABLE b (id int);\n")
    return bed


def test_success_and_carrying_on(bed: Both, beds: Callable[[], Both]) -> None:
    other = beds()
    bed.migrate()
    other.prisma_does("deploy")
    assert bed.content() == other.content()
    assert "Database schema is up to date" in bed.prisma_does("status")
    assert "No pending migrations to apply" in bed.prisma_does("deploy")
    assert other.migrate()["applied_now"] == []
    bed.write("3_c", "CREATE TABLE c (id int);\n")
    assert "3_c" in bed.prisma_fails("status")
    bed.prisma_does("deploy")
    assert [each["name"] for each in other.migrate()["applied_now"]] == ["3_c"]
    assert bed.survey().status == "up_to_date"
    assert "up to date" in other.prisma_does("status")
    assert bed.content() == other.content()


def test_a_failure_of_slipways_does_not_block_prisma(bed: Both) -> None:
    bed.write("2_b", "CREATE TABLE b (id int);\nSELECT 1/0;\n")
    bed.fails()
    assert "up to date" in bed.prisma_does("status")  # so Prisma says of one rolled back, though it will run it
    bed.write("2_b", "CREATE TABLE b (id int);\n")
    bed.prisma_does("deploy")
    assert bed.tables() == ["a", "b"]
    assert bed.survey().status == "up_to_date"


@pytest.mark.parametrize("state", ["applied", "rolled-back"])
def test_a_failure_of_prismas_is_resolved_by_either(bed: Both, beds: Callable[[], Both], state: str) -> None:
    other = beds()
    bed.write("2_b", "SELECT 1/0;\n")
    for each in (bed, other):
        each.prisma_fails("deploy")
        assert "2_b" in each.fails()
        assert each.survey().result()["failed"] == ["2_b"]
    bed.prisma_does("resolve", f"--{state}", "2_b")
    other.resolve(state.replace("-", "_"), "2_b")
    assert bed.content() == other.content()
    assert {each.survey().status for each in (bed, other)} == {"pending" if state == "rolled-back" else "up_to_date"}
    bed.write("2_b", "SELECT 1;\n")
    if state == "rolled-back":
        bed.migrate()
        other.prisma_does("deploy")
        assert bed.content() == other.content()


def test_a_baseline_by_either(bed: Both, beds: Callable[[], Both]) -> None:
    other = beds()
    for each in (bed, other):
        each.sql("CREATE TABLE a (id int)")
        assert "P3005" in each.prisma_fails("deploy")
        assert "no history of migrations" in each.fails()
    bed.prisma_does("resolve", "--applied", "1_a")
    other.resolve("applied", "1_a")
    assert bed.content() == other.content()
    bed.migrate()
    other.prisma_does("deploy")
    assert bed.tables() == other.tables() == ["a", "b"]


def test_half_applied_by_slipway_stops_prisma_and_either_goes_on(bed: Both, beds: Callable[[], Both]) -> None:
    bed.write("2_b", "CREATE TABLE b (id int); VACUUM b; SELECT 1/0;")
    other = beds()
    for each in (bed, other):
        each.fails()
        assert "2_b" in each.prisma_fails("status")
        assert "P3009" in each.prisma_fails("deploy")
    bed.prisma_does("resolve", "--applied", "2_b")
    assert bed.survey().status == "up_to_date"
    other.write("2_b", "CREATE TABLE b (id int); VACUUM b; SELECT 1;")
    other.migrate()
    assert "up to date" in other.prisma_does("status")
    assert other.content()[1][2:6] == (True, False, False, 1)


def test_where_slipway_says_what_prisma_keeps_to_itself(bed: Both) -> None:
    bed.prisma_does("deploy")
    bed.write("1_a", "CREATE TABLE a (id bigint);\n")
    assert "up to date" in bed.prisma_does("status")
    assert bed.survey().status == "edited"
    bed.write("1_a", "CREATE TABLE a (id int);\r\n")
    assert bed.survey().status == "up_to_date"
    shutil.rmtree(bed.directory / "2_b")
    assert "up to date" in bed.prisma_does("status")
    assert bed.survey().status == "ahead"


def test_another_schema(bed: Both) -> None:
    bed.schema = "app"
    bed.sql("CREATE SCHEMA app")
    bed.prisma_does("deploy")
    assert bed.survey().status == "up_to_date"
    bed.write("3_c", "CREATE TABLE c (id int)")
    bed.migrate()
    assert "up to date" in bed.prisma_does("status")
    assert bed.tables() == ["a", "b", "c"]
