# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input for the migration engine: one clear sentence, no traceback, nothing hangs, nothing is written or lost."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration import files, prisma_layout
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.reach import Reaches
from conftest import Postgres, start
from support.modules import run_module

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[4]
PASSWORD = "bad-input-role"
# All that a migration or its bookkeeping could leave.
EVERYTHING = """
    SELECT ARRAY(SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1),
           ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1)
"""
NOTHING = (["information_schema", "public"], [])
ROWS = "SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at IS NOT NULL FROM _prisma_migrations"


@dataclass
class Bed:
    """A database, and a directory of migrations that another user may reach too."""

    postgres: Postgres
    database: str
    home: Path

    def __post_init__(self) -> None:
        self.m = self.home / "m"
        self.file = self.m / "1_a/migration.sql"
        self.file.parent.mkdir(parents=True)

    def run(self, path: str = "") -> tuple[int, str]:
        """Run the module as Ansible does; its exit code and its message."""
        arguments = {**self.postgres.login(self.database), "path": path or str(self.m)}
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("ansible")), "localhost", "--connection", "local",
                "--module-name", "slipway.deploy.migrations", "--args", json.dumps(arguments),
                "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}),
            ],
            cwd=ROOT, start_new_session=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        )  # fmt: skip
        try:
            output = process.communicate(timeout=60)[0]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its workers too, when it hangs
        assert "Traceback" not in output
        assert " => {" in output, output
        found = output.partition(" => {")[2]
        return process.returncode, json.loads("{" + found[: found.rindex("}") + 1]).get("msg", "")

    def call(self, **more: object) -> dict[str, Any]:
        """Run the module in this process on what was read from the directory."""
        payload = files.read(str(self.m), "m").payload.dump()
        return run_module(
            "migrations", {**self.postgres.login(self.database), "path": "m", "_payload": payload, **more}
        )

    def sql(self, text: str) -> list[tuple[Any, ...]]:
        return self.postgres.execute(text, self.database)


@pytest.fixture
def bed(postgres: Postgres) -> Iterator[Bed]:
    home = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    yield Bed(postgres, postgres.database(), home)
    shutil.rmtree(home)


def written(content: bytes) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(content)


def listen(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(file))


def huge(file: Path) -> None:
    file.touch()
    os.truncate(file, 2 * 1024**3)


FILE = "{m}/1_a/migration.sql"
NOT_REGULAR = f"Can't read {FILE}: It is not a regular file; make it a file that you can read."
TOO_DEEP = (
    "{m}/1_a/migration.sql:2:1: this is nested too deeply for PostgreSQL's parser, write it as several statements"
)
# How migration.sql is made, and the message, of which a caret may follow.
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "2 GB": (
        huge,
        f"{FILE} has 2048 MiB, more than the 64 MiB that a migration may have: load bulk data as seed data instead.",
    ),
    "random bytes": (written(bytes(range(1, 256))), f"{FILE}:2: not UTF-8 (byte 0x80): save it as UTF-8."),
    "a program": (
        written(b"\x7fELF\2\1\1\0\0\0\0\0"),
        f"{FILE}:1:8: a NUL byte: the file is not SQL text, replace it by one that is.",
    ),
    "gzip": (written(gzip.compress(b"SELECT 1;", mtime=0)), f"{FILE}:1: not UTF-8 (byte 0x8b): save it as UTF-8."),
    "UTF-16": (written("SELECT 1".encode("utf-16")), f"{FILE}:1: not UTF-8 (byte 0xff): save it as UTF-8."),
    "Latin-1": (written(b"SELECT 1;\n-- caf\xe9\n"), f"{FILE}:2: not UTF-8 (byte 0xe9): save it as UTF-8."),
    "NUL bytes": (
        written(b"CREATE TABLE a ();\nSELECT '\0';\n"),
        f"{FILE}:2:9: a NUL byte: the file is not SQL text, replace it by one that is.",
    ),
    "a quote that is never closed": (
        written(b"SELECT 1;\nSELECT 'x" + b"y" * 10_000_000),
        f"{FILE}:2:8: " + ("unterminated quoted string at or near \"'x" + "y" * 120)[:120] + "...",
    ),
    "100,000 parentheses": (
        written(b"SELECT " + b"(" * 100_000 + b"1" + b")" * 100_000),
        f'{FILE}:1:10004: memory exhausted at or near "("',
    ),
    "100,000 additions": (written(b"SELECT 0;\nSELECT 1" + b"+1" * 100_000), TOO_DEEP),
    "100,000 unions": (written(b"SELECT 0;\nSELECT 1" + b" UNION SELECT 1" * 100_000), TOO_DEEP),
    "a directory": (
        lambda file: file.mkdir(),
        f"Can't read {FILE}: Is a directory; make it a file that you can read.",
    ),
    "a pipe": (os.mkfifo, NOT_REGULAR),
    "a device": (lambda file: file.symlink_to("/dev/zero"), NOT_REGULAR),
    "a socket": (listen, f"Can't read {FILE}: No such device or address; make it a file that you can read."),
    "a link to itself": (
        lambda file: file.symlink_to(file),
        f"Can't read {FILE}: Too many levels of symbolic links; make it a file that you can read.",
    ),
    "a link to nothing": (
        lambda file: file.symlink_to("none"),
        f"The migration '1_a' has no file {FILE}: restore it from version control, or delete the directory.",
    ),
    "verify.sql is a pipe": (
        lambda file: (file.write_text("CREATE TABLE a ();"), os.mkfifo(file.with_name("verify.sql"))),
        NOT_REGULAR.replace("migration.sql", "verify.sql"),
    ),
    "migration_lock.toml is a directory": (
        lambda file: file.parents[1].joinpath("migration_lock.toml").mkdir(),
        "Can't read {m}/migration_lock.toml: Is a directory; make it a file that you can read.",
    ),
}


@pytest.mark.parametrize(("make", "message"), FILES.values(), ids=FILES.keys())
def test_a_bad_file(bed: Bed, make: Callable[[Path], object], message: str) -> None:
    make(bed.file)
    code, said = bed.run()
    assert (code, said.split("\n")[0]) == (2, message.format(m=bed.m))
    assert bed.sql(EVERYTHING) == [NOTHING]


def test_a_migration_lock_that_is_binary_names_no_other_provider(bed: Bed) -> None:
    bed.file.write_text("CREATE TABLE a ();")
    (bed.m / "migration_lock.toml").write_bytes(bytes(range(256)))
    assert bed.call()["migrations"]["status"] == "up_to_date"


def make_file(path: Path) -> None:
    path.write_text("")


# How the directory of migrations is made, and the message.
DIRECTORIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (make_file, "{m!r} is not a directory: name the directory that holds the migrations."),
    "a pipe": (os.mkfifo, "{m!r} is not a directory: name the directory that holds the migrations."),
    "a link to nothing": (
        lambda path: path.symlink_to("none"),
        "There is no directory of migrations {m!r} on the controller: correct the path or create it.",
    ),
    "a link to itself": (
        lambda path: path.symlink_to(path),
        "Can't read the directory of migrations {m!r}: Too many levels of symbolic links; correct the path.",
    ),
}


@pytest.mark.parametrize(("make", "message"), DIRECTORIES.values(), ids=DIRECTORIES.keys())
def test_a_bad_directory(bed: Bed, make: Callable[[Path], object], message: str) -> None:
    path = bed.home / "elsewhere"
    make(path)
    assert bed.run(str(path)) == (2, message.format(m=str(path)))
    assert bed.sql(EVERYTHING) == [NOTHING]


def test_a_path_that_no_file_system_has(bed: Bed) -> None:
    for name, reason in {"x" * 300: "File name too long", "a\0b": "embedded null byte"}.items():
        path = f"{bed.home}/{name}"
        message = f"Can't read the directory of migrations {path!r}: {reason}; correct the path."
        assert bed.run(path) == (2, message)


def test_a_link_to_the_directory_is_followed(bed: Bed) -> None:
    bed.file.write_text("CREATE TABLE a ();")
    (bed.home / "link").symlink_to(bed.m)
    assert bed.run(str(bed.home / "link"))[0] == 0
    assert [row[0] for row in bed.sql(ROWS)] == ["1_a"]


DENIED = "Can't read m/{name}: Permission denied; make it a file that you can read."
NOT_ALLOWED = "Can't read the directory of migrations 'm': Permission denied; allow it."
UNREADABLE = {
    "above it": ("..", NOT_ALLOWED),
    "the directory": (".", NOT_ALLOWED),
    "a migration's directory": ("1_a", DENIED.format(name="1_a/migration.sql")),
    "its file": ("1_a/migration.sql", DENIED.format(name="1_a/migration.sql")),
    "migration_lock.toml": ("migration_lock.toml", DENIED.format(name="migration_lock.toml")),
}


def read_as_an_ordinary_user(directory: Path) -> str:
    """What is said when someone reads it who is not root, whom no permission stops."""
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            files.read(str(directory), "m")
        except SlipwayError as error:
            os.write(sink, str(error).encode())
        except BaseException as error:
            os.write(sink, repr(error).encode())
        finally:
            os._exit(0)
    os.close(sink)
    os.waitpid(child, 0)
    with open(source) as said:
        return said.read()


@pytest.mark.parametrize(("name", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_may_not_be_read(bed: Bed, name: str, message: str) -> None:
    bed.home.chmod(0o755)
    bed.file.write_text("CREATE TABLE a ();")
    (bed.m / "migration_lock.toml").touch()
    assert read_as_an_ordinary_user(bed.m) == ""
    place = (bed.m / name).resolve()
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        assert read_as_an_ordinary_user(bed.m) == message
    finally:
        place.chmod(mode)


# 255 bytes are what a file system takes.
NAMES = ["n" * 255, "é" * 127, "🙂" * 63 + "abc", 'it\'s "1" %s {{ x }} $(x) \\ \n -- ;', "-1", "1 [a]*?"]


def test_names(bed: Bed) -> None:
    shutil.rmtree(bed.m / "1_a")
    for number, name in enumerate(NAMES):
        bed.m.joinpath(name).mkdir()
        bed.m.joinpath(name, "migration.sql").write_text(f"CREATE TABLE t{number} ();")
    with pytest.raises(OSError, match="File name too long"):
        bed.m.joinpath("n" * 256).mkdir()
    assert bed.run()[0] == 0
    assert {row[0] for row in bed.sql(ROWS)} == set(NAMES)
    assert bed.call()["changed"] is False


@pytest.mark.parametrize("name", [b"1_\xff", b"1_\xff" + "🙂".encode()])
def test_a_name_that_is_not_utf_8(bed: Bed, name: bytes) -> None:
    os.mkdir(os.fsencode(bed.m) + b"/" + name)
    code, said = bed.run()
    assert code == 2
    assert said.startswith("The migration's name '1_")
    assert said.endswith(" can't be recorded: rename the directory to at most 255 characters of valid UTF-8.")


# What a server says no to

ROLE = "CREATE ROLE {role} LOGIN PASSWORD '" + PASSWORD + "'; GRANT ALL ON SCHEMA public TO {role}; "
CANT = "Can't connect to database '{database}' at {address} as role '{role}': "
ON = 'connection to server on socket "{address}/.s.PGSQL.5432" failed: '
CHECK = "; check that the server runs and is the one that is meant."
FIRST = (
    "; if the database is new to Slipway, run a deploy first, which makes the role with its password; else correct the "
    "password."
)
OWNER = "run the migrations as the role that owns the schema."
WRITE = "The role may not write the history of migrations in schema 'public' "
HISTORY = (
    "CREATE TABLE _prisma_migrations (id varchar(36), checksum varchar(64), finished_at timestamptz,"
    " migration_name varchar(255), logs text, rolled_back_at timestamptz, started_at timestamptz,"
    " applied_steps_count int); "
)
# What the superuser does first, which login_* options differ, and the message.
REFUSALS: dict[str, tuple[str, dict[str, object], str]] = {
    "no right to connect": (
        "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
        {},
        f'{CANT}{ON}FATAL: permission denied for database "{{database}}" '
        f"DETAIL: User does not have CONNECT privilege.{CHECK}",
    ),
    "no login": (
        "ALTER ROLE {role} NOLOGIN",
        {},
        f'{CANT}{ON}FATAL: role "{{role}}" is not permitted to log in{CHECK}',
    ),
    "no more connections": (
        "ALTER ROLE {role} CONNECTION LIMIT 0",
        {},
        f'{CANT}{ON}FATAL: too many connections for role "{{role}}"{CHECK}',
    ),
    "wrong password": (
        "",
        {"login_password": "another-password"},
        f'{CANT}{ON}FATAL: password authentication failed for user "{{role}}"{FIRST}',
    ),
    "no such database": (
        "",
        {"login_db": "nowhere"},
        f'{CANT.replace("{database}", "nowhere")}{ON}FATAL: database "nowhere" does not exist{CHECK}',
    ),
    "no server": (
        "",
        {"login_unix_socket": "/nonexistent"},
        f'{CANT.replace("{address}", "/nonexistent")}connection to server on socket "/nonexistent/.s.PGSQL.5432" '
        "failed: No such file or directory Is the server running locally and accepting connections on that socket?"
        f"{CHECK}",
    ),
    "no right to create": (
        "REVOKE ALL ON SCHEMA public FROM {role}",
        {},
        f"{WRITE}(permission denied for schema public): {OWNER}",
    ),
    "no right to read the history": (
        HISTORY,
        {},
        "The role may not read the history public._prisma_migrations (permission denied for table "
        "_prisma_migrations): run as the role that owns it.",
    ),
    "no right to write the history": (
        HISTORY + "GRANT SELECT ON _prisma_migrations TO {role}",
        {},
        f"{WRITE}(permission denied for table _prisma_migrations): {OWNER}",
    ),
}

roles = itertools.count()


@pytest.mark.parametrize(("setup", "login", "message"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal(bed: Bed, setup: str, login: dict[str, object], message: str) -> None:
    bed.file.write_text("CREATE TABLE a ();")
    names = {"role": f"limited_{next(roles)}", "database": bed.database, "address": str(bed.postgres.socket_dir)}
    bed.sql((ROLE + setup).format(**names))
    before = bed.sql(EVERYTHING)
    result = bed.call(**{"login_user": names["role"], "login_password": PASSWORD, **login})
    assert (result["failed"], result["msg"]) == (True, message.format(**names))
    assert bed.sql(EVERYTHING) == before


# What the role is made to have, and the message's first line; the migration is recorded as rolled back.
LIMITS = {
    "statement_timeout": (
        "SET statement_timeout = '200ms'",
        "CREATE TABLE a (); SELECT pg_sleep(60);",
        "Migration '1_a' failed at m/1_a/migration.sql:1:20: canceling statement due to statement timeout "
        "(SQLSTATE 57014)",
    ),
    "temp_file_limit": (
        "SET temp_file_limit = '64kB'",
        "SET work_mem = '64kB'; CREATE TABLE a AS SELECT g FROM generate_series(1, 100000) AS g ORDER BY g % 7;",
        "Migration '1_a' failed at m/1_a/migration.sql:1:24: temporary file size exceeds temp_file_limit (64kB) "
        "(SQLSTATE 53400)",
    ),
    "the stack": (
        "SET max_stack_depth = '100kB'",
        "CREATE TABLE a (); SELECT 1" + "+1" * 5000,
        "Migration '1_a' failed at m/1_a/migration.sql:1:20: stack depth limit exceeded (SQLSTATE 54001)",
    ),
}


@pytest.mark.parametrize(("setting", "sql", "message"), LIMITS.values(), ids=LIMITS.keys())
def test_a_limit_of_the_role(bed: Bed, setting: str, sql: str, message: str) -> None:
    bed.file.write_text(sql)
    role = f"limited_{next(roles)}"
    bed.sql((ROLE + "ALTER ROLE {role} " + setting).format(role=role))
    result = bed.call(login_user=role, login_password=PASSWORD)
    assert result["msg"].split("\n")[0].replace('"', "") == message  # 18 quotes the setting's name
    assert bed.sql("SELECT to_regclass('a')") == [(None,)]
    assert [row[2:] for row in bed.sql(ROWS)] == [(False, True)]


@pytest.mark.parametrize("setting", ["idle_in_transaction_session_timeout", "idle_session_timeout"])
def test_a_session_that_may_not_be_idle(bed: Bed, setting: str) -> None:
    """Wherever the server ends the session, the migration and its row are both there or neither."""
    bed.file.write_text("CREATE TABLE a ();\n" + "SELECT 1;\n" * 300)
    role = f"limited_{next(roles)}"
    bed.sql((ROLE + f"ALTER ROLE {{role}} SET {setting} = '1ms'").format(role=role))
    result = bed.call(login_user=role, login_password=PASSWORD)
    if result.get("failed"):
        assert "server closed the connection unexpectedly" in result["msg"]
    ((there, recorded),) = bed.sql("SELECT to_regclass('a') IS NOT NULL, to_regclass('_prisma_migrations') IS NOT NULL")
    assert there == (recorded and any(row[2] for row in bed.sql(ROWS)))
    assert bed.call()["migrations"]["status"] == "up_to_date"
    assert [row[2:] for row in bed.sql(ROWS) if not row[3]] == [(True, False)]


READ_ONLY = (
    "PostgreSQL ended the run on database '{database}': cannot execute CREATE TABLE in a read-only transaction; "
    "what was applied is in the history: correct this and run again."
)


def test_a_read_only_database(bed: Bed) -> None:
    bed.file.write_text("CREATE TABLE a ();")
    bed.sql(f"ALTER DATABASE {bed.database} SET default_transaction_read_only = on")
    assert bed.call()["msg"] == READ_ONLY.format(database=bed.database)
    assert bed.sql(EVERYTHING) == [NOTHING]


def test_a_hot_standby(bed: Bed) -> None:
    bed.file.write_text("CREATE TABLE a ();")
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    standby, data = start(bed.postgres.version, directory), str(directory / "data")
    standby.run("pg_ctl", "-D", data, "-m", "fast", "-w", "stop")
    (directory / "data/standby.signal").touch()
    settings = f"-k {directory} -c listen_addresses='' -c max_connections=200"
    standby.run("pg_ctl", "-D", data, "-l", str(directory / "log"), "-w", "-o", settings, "start")
    try:
        message = bed.call(**standby.login("postgres"))["msg"]
    finally:
        standby.run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(directory)
    assert message == READ_ONLY.format(database="postgres")


# What is large and right

LARGE = {
    "a long statement": ("CREATE TABLE a (x text); INSERT INTO a VALUES ('" + "x" * 20_000_000 + "');", 20_000_000),
    "10,000 statements": ("CREATE TABLE a (x text);\n" + "INSERT INTO a VALUES ('x');\n" * 10_000, 10_000),
    "a statement of 100,000 rows": ("CREATE TABLE a (x text); INSERT INTO a VALUES ('x')" + ",('x')" * 99_999, 100_000),
    "1,000 levels": (f"CREATE TABLE a AS SELECT {'(' * 1000}'x'{')' * 1000} AS x;", 1),
}


@pytest.mark.parametrize(("sql", "size"), LARGE.values(), ids=LARGE.keys())
def test_a_large_file_is_applied(bed: Bed, sql: str, size: int) -> None:
    bed.file.write_text(sql)
    assert bed.run()[0] == 0
    assert bed.sql("SELECT sum(length(x)) FROM a") == [(size,)]
    assert [row[1:] for row in bed.sql(ROWS)] == [(hashlib.sha256(sql.encode()).hexdigest(), True, False)]


# What changes while it is read

CHANGED = "The directory of migrations 'm' was changed while it was read: run again when nothing writes to it any more."


def replace_directory(m: Path) -> None:
    m.rename(m.with_name("former"))
    shutil.copytree(m.with_name("former"), m)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file grows": lambda m: (m / "1_a/migration.sql").open("a").write("SELECT 1;"),
    "a file shrinks": lambda m: os.truncate(m / "1_a/migration.sql", 3),
    "a file is written anew": lambda m: (m / "1_a/migration.sql").write_text("CREATE TABLE b ();"),
    "a file is replaced": lambda m: shutil.copy2(m / "1_a/migration.sql", m / "new").replace(m / "1_a/migration.sql"),
    "a file is deleted": lambda m: (m / "1_a/migration.sql").unlink(),
    "a migration is added": lambda m: (m / "2_b").mkdir(),
    "a migration is deleted": lambda m: shutil.rmtree(m / "1_a"),
    "the directory is deleted": shutil.rmtree,
    "the directory is replaced": replace_directory,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_while_it_is_read(bed: Bed, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]) -> None:
    bed.file.write_text("CREATE TABLE a ();")

    def parse(raw: bytes, file: str, reaches: Reaches) -> Script:
        monkeypatch.undo()
        change(bed.m)
        return prisma_layout.parse(raw, file, reaches)

    monkeypatch.setattr(prisma_layout, "parse", parse)
    with pytest.raises(SlipwayError) as caught:
        files.read(str(bed.m), "m")
    assert str(caught.value) == CHANGED


def write_variant(directory: Path, word: str) -> None:
    """Twenty migrations, the n-th of which makes the table <word>_<n>; a file is never there in part."""
    for number in range(20):
        file = directory / f"{number:02}_same_name" / "migration.sql"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_suffix(".new").write_text(f"CREATE TABLE {word}_{number:02} ();")
        file.with_suffix(".new").replace(file)


def swap_directories(m: Path) -> None:
    m.rename(m.with_name("other"))
    m.with_name("spare").rename(m)
    m.with_name("other").rename(m.with_name("spare"))


def swap_files(m: Path) -> None:
    for word in ("a", "b"):
        write_variant(m, word)


# Where file after file is replaced there are moments at which the first are new and the rest are not.
@pytest.mark.parametrize(("swap", "runs"), [(swap_directories, 1), (swap_files, 2)])
def test_what_is_applied_is_what_was_read_and_of_one_moment(bed: Bed, swap: Callable[[Path], None], runs: int) -> None:
    bed.file.parent.rmdir()
    write_variant(bed.m, "a")
    write_variant(bed.m.with_name("spare"), "b")
    ended = threading.Event()

    def disturb() -> None:
        while not ended.wait(0.003):
            swap(bed.m)

    thread = threading.Thread(target=disturb)
    thread.start()
    taken: list[str] = []
    refused: set[str] = set()
    try:
        ends = time.monotonic() + 60
        for number in itertools.count():
            if number >= 100 and (CHANGED in refused or time.monotonic() > ends):
                break
            try:
                taken.append(files.read(str(bed.m), "m").payload.dump())
            except SlipwayError as error:
                refused.add(str(error))
    finally:
        ended.set()
        thread.join()
    missing = "There is no directory of migrations 'm' on the controller: correct the path or create it."
    assert CHANGED in refused <= {CHANGED, missing}
    for payload in taken[:: max(1, len(taken) // 8)]:
        database = bed.postgres.database()
        run_module("migrations", {**bed.postgres.login(database), "path": "m", "_payload": payload})
        tables = "SELECT relname FROM pg_class WHERE relname ~ '^[ab]_' ORDER BY right(relname, 2)"
        made = [str(name) for (name,) in bed.postgres.execute(tables, database)]
        sums = [row[1] for row in bed.postgres.execute(ROWS + " ORDER BY 1", database)]
        assert sums == [hashlib.sha256(f"CREATE TABLE {name} ();".encode()).hexdigest() for name in made]
        assert len(made) == 20
        assert len(list(itertools.groupby(name[0] for name in made))) <= runs
