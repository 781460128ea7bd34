# SPDX-License-Identifier: GPL-3.0-or-later
"""Slipway and real Prisma Migrate: the same story leaves the same rows, and each goes on with what the other left."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import jinja2
import psycopg
import pytest
import yaml
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import sort_key
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import DEFAULTS, Policy
from conftest import Postgres
from support import prisma
from support.migrations import Bed

pytestmark = pytest.mark.once

HERE = Path(__file__).parent
# Everything in the rows but ids and times; only what was resolved as applied has the same time twice.
CONTENT = """
    SELECT migration_name, checksum, finished_at IS NOT NULL, applied_steps_count = 0 AND finished_at = started_at,
           rolled_back_at IS NOT NULL, applied_steps_count, logs IS NULL, logs = '',
           id ~ '^[0-9a-f]{{8}}-[0-9a-f]{{4}}-4[0-9a-f-]{{21}}$'
      FROM {schema}._prisma_migrations ORDER BY migration_name COLLATE "C", started_at, finished_at
"""
A, B, C = (f"CREATE TABLE {name} (id int);\n" for name in "abc")
BROKEN = B + "SELECT 1/0;\n"


@dataclass
class Both(Bed):
    """A database that Slipway and Prisma share, with the files 1_a and 2_b."""

    prisma_directory: Path = Path()
    url: str = ""  # by which Prisma connects; else by the settings

    @property
    def command(self) -> dict[str, Any]:
        """Where and with what environment Prisma runs."""
        settings = {
            "PGHOST": str(self.postgres.socket_dir),
            "PGPORT": str(self.postgres.port),
            "PGUSER": self.postgres.user,
            "PGPASSWORD": self.postgres.password,
            "PGDATABASE": self.database,
        }
        environment = prisma.environment(self.directory, settings, self.schema, self.url)
        return {"cwd": self.prisma_directory, "env": environment, "text": True}

    def prisma(self, *arguments: str) -> tuple[int, str]:
        """Run ``prisma migrate`` and return its exit code and what it said."""
        return prisma.migrate(self.prisma_directory, self.command["env"], *arguments)

    def prisma_fails(self, *arguments: str) -> str:
        code, said = self.prisma(*arguments)
        assert code != 0, said
        return said

    def prisma_does(self, *arguments: str) -> str:
        code, said = self.prisma(*arguments)
        assert code == 0, said
        return said

    def content(self) -> list[tuple[object, ...]]:
        return self.sql(CONTENT.format(schema=self.schema))

    def remove(self, name: str) -> None:
        shutil.rmtree(self.directory / name)

    def copy(self) -> Both:
        """The same database under another name, with a copy of the files."""
        name = f"{self.database}_{time.monotonic_ns()}"
        self.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {self.database}")
        directory = self.directory.parent / name
        shutil.copytree(self.directory, directory)
        return replace(self, database=name, directory=directory)


@pytest.fixture
def beds(postgres: Postgres, tmp_path: Path, prisma_directory: Path) -> Callable[[], Both]:
    def fresh() -> Both:
        name = postgres.database()
        bed = Both(postgres, name, tmp_path / name, prisma_directory=prisma_directory)
        bed.directory.mkdir()
        bed.write("1_a", A)
        bed.write("2_b", B)
        return bed

    return fresh


@pytest.fixture
def bed(beds: Callable[[], Both]) -> Both:
    return beds()


class Tool(Protocol):
    """Slipway or Prisma at work on a database."""

    bed: Both

    def apply(self) -> object:
        """Apply what is pending."""

    def fail(self) -> object:
        """Try to, in vain."""

    def resolve(self, state: str, name: str) -> object:
        """Correct the history."""


@dataclass
class Slipway:
    bed: Both

    def apply(self) -> object:
        return self.bed.migrate()

    def fail(self) -> object:
        return self.bed.fails()

    def resolve(self, state: str, name: str) -> object:
        return self.bed.resolve(state, name)


@dataclass
class Prisma:
    bed: Both

    def apply(self) -> object:
        return self.bed.prisma_does("deploy")

    def fail(self) -> object:
        return self.bed.prisma_fails("deploy")

    def resolve(self, state: str, name: str) -> object:
        return self.bed.prisma_does("resolve", f"--{state.replace('_', '-')}", name)


# The stories. Where Prisma leaves a failed row for somebody to resolve, Slipway's is rolled back already.


def apply(tool: Tool) -> None:
    tool.apply()


def apply_a_third(tool: Tool) -> None:
    tool.bed.write("3_c", C)
    tool.apply()


def restore_and_apply_a_third(tool: Tool) -> None:
    tool.bed.write("1_a", A)
    tool.bed.write("2_b", B)
    apply_a_third(tool)


def fail_and_roll_back(tool: Tool) -> None:
    tool.bed.write("2_b", "SELECT 1/0;\n")
    tool.fail()
    tool.resolve("rolled_back", "2_b")


def fail_and_be_applied(tool: Tool) -> None:
    tool.bed.write("2_b", "SELECT 1/0;\n")
    tool.fail()
    tool.resolve("applied", "2_b")


def fail_twice(tool: Tool) -> None:
    fail_and_roll_back(tool)
    fail_and_be_applied(tool)


def resolve_untried(tool: Tool) -> None:
    tool.bed.remove("2_b")
    tool.apply()
    tool.bed.write("2_b", B)
    tool.resolve("applied", "2_b")


def be_unmanaged(tool: Tool) -> None:
    tool.bed.sql("CREATE TABLE a (id int)")


def baseline(tool: Tool) -> None:
    be_unmanaged(tool)
    tool.fail()
    tool.resolve("applied", "1_a")


def resolve_and_apply(tool: Tool) -> None:
    tool.resolve("applied", "1_a")
    tool.apply()


def edit(tool: Tool) -> None:
    tool.apply()
    tool.bed.write("1_a", "CREATE TABLE a (id bigint);\n")


def lose(tool: Tool) -> None:
    tool.apply()
    tool.bed.remove("1_a")
    tool.bed.policy = Policy({**DEFAULTS, "missing": "allow"})


def lose_and_add(tool: Tool) -> None:
    lose(tool)
    tool.bed.write("3_c", C)


def apply_the_second(tool: Tool) -> None:
    tool.bed.remove("1_a")
    tool.apply()
    tool.bed.write("1_a", A)


def work_elsewhere(tool: Tool) -> None:
    tool.bed.schema = "app"
    tool.bed.sql("CREATE SCHEMA app")
    tool.apply()


ODD = {
    "1_empty": "",
    "2_comment": "-- nothing\n",
    "3_crlf": "CREATE TABLE crlf (\r\n  id int\r\n);\r\n",
    "4_no_newline": "SELECT 1",
    "5_ünïcödé 🙂": "CREATE TABLE ünïcödé (\"🙂\" text DEFAULT 'é');\n",
    '6 it\'s "%s" {} &': "SELECT '%s'",
    "7_" + "n" * 248: "SELECT 2",
    "no time stamp": "SELECT 3",
    ".hidden": "SELECT 4",
    "8_blank": " \n\t\n",
}


def apply_odd_files(tool: Tool) -> None:
    for name, text in ODD.items():
        tool.bed.write(name, text)
    (tool.bed.directory / "9_a_file").write_text("SELECT 1/0")
    (tool.bed.directory / "9_linked").symlink_to(tool.bed.directory / "1_a")
    (tool.bed.directory / "migration_lock.toml").write_text('provider = "postgresql"\n')
    tool.apply()


def change_line_endings(tool: Tool) -> None:
    for file in tool.bed.directory.glob("*/migration.sql"):
        text = file.read_bytes()
        file.write_bytes(text.replace(b"\r\n", b"\n") if b"\r" in text else text.replace(b"\n", b"\r\n"))
    apply_a_third(tool)


@dataclass(frozen=True)
class Story:
    """What happens, what then Slipway and Prisma's ``status`` (with its exit code) say, and how it goes on."""

    begins: Callable[[Tool], None]
    slipway_says: str
    prisma_says: tuple[int, str]
    goes_on: Callable[[Tool], None]


FINE = (0, "Database schema is up to date!")
STORIES = {
    "success": Story(apply, "up_to_date", FINE, apply_a_third),
    "failed, rolled back": Story(fail_and_roll_back, "pending", FINE, restore_and_apply_a_third),
    "failed twice, rolled back, resolved as applied": Story(fail_twice, "up_to_date", FINE, apply_a_third),
    "resolved as applied untried": Story(resolve_untried, "up_to_date", FINE, apply_a_third),
    "tables without a history": Story(be_unmanaged, "unmanaged", (1, "have not yet been applied"), resolve_and_apply),
    "baseline": Story(baseline, "pending", (1, "2_b"), apply),
    "edited": Story(edit, "edited", FINE, restore_and_apply_a_third),
    "missing": Story(lose, "missing", FINE, apply_a_third),
    "missing and something pending": Story(lose_and_add, "missing", (1, "are different"), apply),
    "out of order": Story(apply_the_second, "pending", (1, "1_a"), apply),
    "another schema": Story(work_elsewhere, "up_to_date", FINE, apply_a_third),
    "odd names and files": Story(apply_odd_files, "up_to_date", FINE, change_line_endings),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_a_story(beds: Callable[[], Both], story: Story) -> None:
    ours, theirs = beds(), beds()
    story.begins(Slipway(ours))
    story.begins(Prisma(theirs))
    if story.slipway_says != "unmanaged":
        assert ours.content() == theirs.content()
    code, said = ours.prisma("status")
    assert (code, story.prisma_says[1] in said) == (story.prisma_says[0], True), said
    assert ours.survey().result() == theirs.survey().result()
    assert theirs.survey().status == story.slipway_says

    story.goes_on(Prisma(ours))
    story.goes_on(Slipway(theirs))
    assert ours.content() == theirs.content()
    assert ours.tables() == theirs.tables()
    assert ours.survey().result() == theirs.survey().result()
    assert ours.survey().pending == ()


def test_a_failure_of_slipways_does_not_block_prisma(bed: Both) -> None:
    bed.write("2_b", BROKEN)
    bed.fails()
    other = bed.copy()
    other.prisma_does("resolve", "--applied", "2_b")
    bed.write("2_b", B)
    bed.prisma_does("deploy")
    assert bed.tables() == ["a", "b"]
    assert bed.survey().status == other.survey().status == "up_to_date"


def test_a_failure_of_prismas_is_resolved_by_either(bed: Both) -> None:
    bed.write("2_b", "SELECT 1/0;\n")
    bed.prisma_fails("deploy")
    assert "division by zero" in bed.fails()
    assert bed.survey().result()["failed"] == ["2_b"]
    said = bed.prisma_fails("status")
    assert "migrate resolve --rolled-back" in said
    assert "migrate resolve --applied" in said
    for state, status in (("applied", "up_to_date"), ("rolled_back", "pending")):
        ours, theirs = bed.copy(), bed.copy()
        Slipway(ours).resolve(state, "2_b")
        Prisma(theirs).resolve(state, "2_b")
        assert ours.content() == theirs.content()
        assert ours.survey().status == theirs.survey().status == status
        go_on = restore_and_apply_a_third if status == "pending" else apply_a_third
        go_on(Prisma(ours))
        go_on(Slipway(theirs))
        assert ours.content() == theirs.content()


@contextmanager
def holding(bed: Both, key: int) -> Iterator[None]:
    with closing(bed.postgres.connect(bed.database)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
        yield


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_a_killed_prisma_leaves_is_resolved(bed: Both) -> None:
    bed.write("2_b", B + "SELECT pg_advisory_xact_lock(1);\n")
    waiting = (
        f"SELECT true FROM pg_locks JOIN pg_database ON oid = database WHERE datname = '{bed.database}' AND NOT granted"
    )
    with holding(bed, 1):
        prisma = subprocess.Popen(
            ["node_modules/.bin/prisma", "migrate", "deploy"],
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **bed.command,
        )  # fmt: skip
        try:
            wait_until(lambda: bed.sql(waiting) == [(True,)])
        finally:
            os.killpg(prisma.pid, signal.SIGKILL)
            prisma.wait()
    others = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{bed.database}' AND pid <> pg_backend_pid()"
    wait_until(lambda: bed.sql(others) == [(0,)])
    assert "and never finished" in bed.fails()
    assert bed.content()[1][2:] == (False, None, False, 0, True, None, True)
    assert bed.tables() == ["a", "b"]  # as the server went on to do
    bed.resolve("applied", "2_b")
    assert "up to date" in bed.prisma_does("status")
    assert bed.migrate()["status"] == "up_to_date"


def test_what_a_lost_slipway_leaves_is_nothing_to_prisma(bed: Both) -> None:
    bed.write("2_b", B + "SELECT pg_terminate_backend(pg_backend_pid());\n")
    assert "The connection is lost" in bed.fails()
    assert len(bed.content()) == 1
    bed.write("2_b", B)
    bed.prisma_does("deploy")
    assert bed.survey().status == "up_to_date"


def test_half_applied_by_slipway_stops_prisma_and_either_goes_on(bed: Both) -> None:
    bed.write("2_b", "CREATE TABLE b (id int); VACUUM b; SELECT 1/0;")
    bed.fails()
    assert "migrate resolve" in bed.prisma_fails("status")
    assert "P3009" in bed.prisma_fails("deploy")
    applied, rolled_back = bed.copy(), bed.copy()
    applied.prisma_does("resolve", "--applied", "2_b")
    assert applied.survey().status == "up_to_date"
    for each in (bed, rolled_back):
        each.write("2_b", "CREATE TABLE b (id int); VACUUM b; SELECT 1;")
    bed.migrate()
    rolled_back.prisma_does("resolve", "--rolled-back", "2_b")
    rolled_back.sql("DROP TABLE b")
    rolled_back.migrate()
    assert "up to date" in bed.prisma_does("status")
    assert bed.content()[1][2:] == rolled_back.content()[2][2:] == (True, False, False, 1, True, None, True)


def test_what_slipway_undid_prisma_applies_or_resolves(bed: Both) -> None:
    (bed.directory / "2_b" / "down.sql").write_text("DROP TABLE b;\n")
    bed.migrate()
    bed.undo("2_b")
    other = bed.copy()
    bed.prisma_does("deploy")
    other.sql("CREATE TABLE b (id int)")
    other.prisma_does("resolve", "--applied", "2_b")  # refused (P3008) where finished_at is set
    assert bed.survey().status == other.survey().status == "up_to_date"
    assert bed.tables() == other.tables() == ["a", "b"]


def test_what_prisma_breaks_in_sending_slipway_applies(bed: Both) -> None:
    bed.write("2_b", B + "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;\n")
    bed.prisma_fails("deploy")
    assert bed.tables() == ["a", "b"]
    bed.resolve("rolled_back", "2_b")
    bed.sql("DROP TABLE b")
    assert bed.migrate()["status"] == "up_to_date"
    assert bed.sql("SELECT f()") == [(1,)]


def test_bytes_that_only_prisma_takes(bed: Both) -> None:
    """Invalid UTF-8, and here a byte order mark, too: its adapter drops what the native engine sends."""
    bed.write("2_b", b"-- caf\xe9 \xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf\n" + B.encode())
    bed.write("3_c", b"\xef\xbb\xbf" + C.encode())
    assert "save it as UTF-8" in bed.fails()
    bed.prisma_does("deploy")
    assert bed.survey().status == "up_to_date"


ERRORS = [
    ("applied", "1_a", "P3008", ""),
    ("applied", "9_x", "P3017", "There is no file for the migration '9_x'"),
    ("rolled_back", "9_x", "P3011", "The migration '9_x' has no row in the history"),
    ("rolled_back", "1_a", "P3012", "The migration '1_a' is applied, not failed"),
]


@pytest.mark.parametrize(("state", "name", "code", "says"), ERRORS)
def test_what_both_refuse_to_resolve(bed: Both, state: str, name: str, code: str, says: str) -> None:
    bed.migrate()
    assert code in bed.prisma_fails("resolve", f"--{state.replace('_', '-')}", name)
    if says:
        with pytest.raises(SlipwayError, match=says):
            bed.resolve(state, name)
    else:
        assert bed.resolve(state, name) == []  # it is so already


def test_where_slipway_says_what_prisma_keeps_to_itself(bed: Both) -> None:
    bed.migrate()
    bed.remove("2_b")
    assert "up to date" in bed.prisma_does("status")
    assert bed.survey().status == "ahead"


def test_names_are_ordered_as_prisma_does(prisma_directory: Path) -> None:
    chance = random.Random(0)
    letters = "abcxyzABCXYZ019_-. +#'éüßñÅ@()[]&~"
    names = ["".join(chance.choices(letters, k=chance.randint(1, 8))) for _ in range(2000)]
    sort = "console.log(JSON.stringify(JSON.parse(require('fs').readFileSync(0)).sort((a, b) => a.localeCompare(b))))"
    done = subprocess.run(["node", "-e", sort], input=json.dumps(names), capture_output=True, text=True, check=True)
    assert sorted(names, key=sort_key) == json.loads(done.stdout)


CLIENT = """
const client = new (require('pg').Client)(process.env.CONNECTION_URL);
client.connect().then(() => client.query('SELECT current_user, current_database()'))
  .then(({ rows }) => { console.log(JSON.stringify(Object.values(rows[0]))); return client.end(); });
"""


def test_the_url_that_the_application_gets_is_one_to_every_client(bed: Both) -> None:
    """psycopg and node's pg connect by it, and Prisma, whose own parser tells what it connects to."""
    role, password = f"{bed.database}_app", "p@ss/w:rd?&%20#ä"
    bed.postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    bed.postgres.execute(f"GRANT CREATE ON SCHEMA public TO {role}", bed.database)
    wiring = yaml.safe_load((HERE.parents[2] / "playbooks" / "group_vars" / "all" / "wiring.yml").read_text())
    told = {
        "database_runtime": "embedded",
        "database_authority": "localhost",
        "application_user": role,
        "application_password": password,
        "app_database": bed.database,
        "database_socket": str(bed.postgres.socket_dir),
    }
    bed.url = jinja2.Environment().from_string(wiring["database_url"]).render(told)
    assert bed.url.startswith(
        f"postgresql://{role}:p%40ss%2Fw%3Ard%3F%26%2520%23%C3%A4@localhost/{bed.database}?host=%2F"
    )

    with closing(psycopg.connect(bed.url)) as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == (role, bed.database)
    node = subprocess.run(["node", "-e", CLIENT], capture_output=True, timeout=60, check=True, **bed.command)
    assert json.loads(node.stdout) == [role, bed.database]
    assert f'PostgreSQL database "{bed.database}"' in bed.prisma_does("deploy")
    assert bed.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == [(role,)]
    assert "Database schema is up to date!" in bed.prisma_does("status")
