# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check of a database's health finds what it is for, on a real server, and nothing before it is there."""

from __future__ import annotations

import contextlib
import datetime
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._health.examine import examine
from ansible_collections.slipway.deploy.plugins.module_utils._health.rule import (
    CRITICAL,
    OK,
    UNKNOWN,
    WARNING,
    Finding,
    Rule,
    adjusted,
)
from ansible_collections.slipway.deploy.plugins.module_utils._health.rules import RULES
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import literal, quote
from conftest import Postgres, start
from psycopg2.extensions import connection as Connection
from psycopg2.extras import wait_select
from support.access import PASSWORD, Site, make_site
from support.certificates import made
from support.manifest import manifest

NAMES = [rule.name for rule in RULES]
# What no server here has, so that it can't be measured: an extension, and any run or backup.
LEFT = "PREPARE TRANSACTION 'left'"
UNMEASURED = {"slow_statements", "backup_age"}
FLUSH = "SELECT pg_stat_force_next_flush()"


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A server of its own, with no autovacuum that takes away what is to be found."""
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    version = request.config.getoption("--pg-version")
    found = start(version, directory, "-c max_prepared_transactions=5 -c autovacuum=off")
    if version < 15:
        pytest.fail("the statistics of an older server are not flushed on demand")
    yield found
    found.run("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)


@dataclass
class Examined:
    """A database with its roles, and what is said of it."""

    site: Site
    state: Path
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    elsewhere: dict[str, float | str] = field(default_factory=dict)  # certificates of other hosts
    admin: dict[str, str] = field(default_factory=dict)  # the superuser's login by default

    def find(self, name: str, **numbers: object) -> Finding:
        """What one check finds, by these thresholds."""
        rules = [rule for rule in adjusted(RULES, {name: numbers}) if rule.name in ("server", name)]
        return self.examine(rules)[name]

    def all(self) -> dict[str, Finding]:
        """What all of them find."""
        found = self.examine(RULES)
        assert list(found) == NAMES
        return found

    def examine(self, rules: Sequence[Rule]) -> dict[str, Finding]:
        login = {**self.site.postgres.login(self.site.database), "ssl_mode": "prefer", "ca_cert": None}
        owner = {**login, "login_host": "", "login_user": self.site.roles.owner, "login_password": PASSWORD}
        params = {
            "admin_login": self.admin or login,
            "owner": self.site.roles.owner,
            "application": self.site.roles.application,
            "application_password": PASSWORD,
            "application_login": "",
            "readonly": self.site.roles.readonly,
            "application_name": "autotest",
            "environment_name": "test",
            "directory": str(self.state),
            "backup_directory": str(self.state / "backups"),
            "container": None,
            "certificate": str(self.state / "site.pem") if (self.state / "site.pem").exists() else "",
            "certificates": self.elsewhere,
            "database_certificate": str(self.state / "server.pem") if (self.state / "server.pem").exists() else "",
        }
        server = Server.from_params({**owner, "connect_timeout": 10})
        return {each.rule.name: each for each in examine(server, params, rules)}

    def run(self, *statements: str) -> None:
        """Each statement by itself, as the owner; what the session did is in the statistics when it has ended."""
        with contextlib.closing(self.site.connect(self.site.roles.owner)) as opened, opened.cursor() as cursor:
            for statement in [*statements, FLUSH]:
                cursor.execute(statement)

    def clear(self) -> None:
        """Away with what a test made, once the server has noticed that its sessions ended."""
        ours = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        self.site.execute(f"SELECT pg_terminate_backend(pid, 5000) {ours}")
        self.site.execute("DROP TABLE IF EXISTS t, u, part, kept CASCADE; DROP SEQUENCE IF EXISTS own")

    def undone(self, statement: str) -> None:
        """Have the superuser run a statement when the test has ended."""
        self.stack.callback(as_superuser(statement), self)

    def session(self, role: str | None = None) -> Connection:
        """A session that stays until the test ends."""
        return self.stack.enter_context(contextlib.closing(self.site.connect(role or self.site.roles.application)))

    def begin(self, statement: str) -> None:
        """Begin a statement that goes on in the background, in a transaction of its own."""
        opened = psycopg2.connect(
            host=str(self.site.postgres.socket_dir), user=self.site.roles.owner, password=PASSWORD,
            dbname=self.site.database, async_=True,
        )  # fmt: skip
        self.stack.callback(opened.close)
        wait_select(opened)
        opened.cursor().execute(statement)


@pytest.fixture(scope="module")
def site(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A database for all of them, each of which takes away again what it made."""
    made = make_site(server, tmp_path_factory.mktemp("site"))
    made.access()
    return made


@pytest.fixture
def examined(site: Site, tmp_path: Path) -> Iterator[Examined]:
    found = Examined(site, tmp_path / "state")
    with found.stack:
        yield found
    found.clear()


def test_nothing_is_found_in_a_sound_database(examined: Examined) -> None:
    examined.run(
        "CREATE TABLE kept (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE)",
        "CREATE TABLE part (id bigserial PRIMARY KEY, kept_id bigint NOT NULL REFERENCES kept, CHECK (id > 0))",
        "CREATE INDEX ON part (kept_id)",
        "INSERT INTO kept (name) SELECT 'name ' || g FROM generate_series(1, 500) g",
        "INSERT INTO part (kept_id) SELECT id FROM kept",
    )
    found = examined.all()
    assert {name: each.state for name, each in found.items()} == {
        name: UNKNOWN if name in UNMEASURED else OK for name in NAMES
    }
    assert {each.sentence for name, each in found.items() if name not in UNMEASURED} == {""}
    assert found["slow_statements"].sentence == (
        "Mean time of a statement, by pg_stat_statements: not known: the database has no extension pg_stat_statements: "
        "preload it (shared_preload_libraries) and create it to see the slowest statements."
    )


@dataclass(frozen=True)
class Case:
    """What is to be found: by what statements or deed, by which numbers, as which sentence (a pattern)."""

    name: str
    sentence: str
    statements: Sequence[str] = ()
    state: str = WARNING
    numbers: dict[str, object] = field(default_factory=dict)
    deed: Callable[[Examined], None] = lambda _: None
    before: str = OK  # with the same numbers
    undo: Sequence[str] = ()
    more_than_before: int = 0
    label: str = ""


def as_superuser(statement: str, undo: str = "") -> Callable[[Examined], None]:
    def run(examined: Examined) -> None:
        if undo:
            examined.undone(undo)
        examined.site.execute(statement.replace("{app}", quote(examined.site.roles.application)))

    return run


def a_multixact(examined: Examined) -> None:
    """Two sessions that share a lock of one row make one."""
    examined.run("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    for _ in range(2):
        opened = examined.session(examined.site.roles.owner)
        opened.autocommit = False
        opened.cursor().execute("SELECT FROM t FOR SHARE")


def an_idle_transaction(examined: Examined) -> None:
    opened = examined.session()
    opened.autocommit = False
    opened.cursor().execute("SELECT 1")
    time.sleep(0.3)


def a_long_transaction(examined: Examined) -> None:
    examined.begin("SELECT pg_sleep(30)")
    time.sleep(0.3)


def a_waiting_session(examined: Examined) -> None:
    examined.run("CREATE TABLE t (id int PRIMARY KEY)")
    opened = examined.session(examined.site.roles.owner)
    opened.autocommit = False
    opened.cursor().execute("LOCK TABLE t")
    examined.begin("BEGIN; LOCK TABLE t")
    time.sleep(0.3)


def a_left_slot(examined: Examined) -> None:
    examined.undone("SELECT pg_drop_replication_slot('left')")
    as_superuser("SELECT pg_create_physical_replication_slot('left', true); SELECT pg_switch_wal()")(examined)


def a_prepared_transaction(examined: Examined) -> None:
    examined.run(
        "CREATE TABLE t (id int PRIMARY KEY)", "BEGIN", "INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'left'"
    )
    examined.stack.callback(examined.run, "ROLLBACK PREPARED 'left'")


def all_connections(examined: Examined) -> None:
    as_superuser("ALTER ROLE {app} CONNECTION LIMIT 2", "ALTER ROLE {app} CONNECTION LIMIT -1")(examined)
    examined.session()


def a_failed_index(examined: Examined) -> None:
    examined.run("CREATE TABLE t (id int PRIMARY KEY, x int)", "INSERT INTO t VALUES (1, 1), (2, 1)")
    with contextlib.suppress(psycopg2.Error):
        examined.run("CREATE UNIQUE INDEX CONCURRENTLY twice ON t (x)")


def days_ago(days: int) -> str:
    return (datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=days)).isoformat(timespec="seconds")


def old_records(days: int) -> Callable[[Examined], None]:
    def write(examined: Examined) -> None:
        examined.state.mkdir()
        record = {"verb": "deploy", "status": "succeeded", "finished": days_ago(days)}
        (examined.state / "deployments.jsonl").write_text(json.dumps(record) + "\n")

    return write


def an_old_backup(examined: Examined) -> None:
    """Beside three that do not count: not proved, of another environment, damaged."""
    old_records(90)(examined)
    directory = examined.state / "backups"
    directory.mkdir()
    new = {"started": days_ago(0), "environment": "test", "size": 4}
    for name, more in {
        "old": {"started": days_ago(40)}, "a": {"proved": False}, "b": {"environment": "prod"}, "c": {"size": 5},
    }.items():  # fmt: skip
        (directory / f"{name}.json").write_text(manifest(name=name, dump=f"{name}.dump", **{**new, **more}).text())
        (directory / f"{name}.dump").write_bytes(b"dump")


def a_certificate_that_ends(examined: Examined) -> None:
    examined.state.mkdir()
    (examined.state / "site.pem").write_text(made("shop.example.com", ends=2).certificate)


def a_certificate_elsewhere_that_ends(examined: Examined) -> None:
    examined.elsewhere = {"front": time.time() + 86400, "other": time.time() + 86400 * 60}


def a_host_that_does_not_say(examined: Examined) -> None:
    examined.elsewhere = {"front": "There is no certificate in /x.pem: deploy first."}


def a_database_certificate_that_ends(examined: Examined) -> None:
    examined.state.mkdir()
    (examined.state / "server.pem").write_text(made("10.0.0.5", ends=20).certificate)


OURS = "WHERE datname = current_database()"
FILLED = (
    "CREATE TABLE t (id int PRIMARY KEY, x int, y text)",
    "INSERT INTO t SELECT g, g, repeat('x', 40) FROM generate_series(1, 2000) g",
    FLUSH,
)
WIDEN = r"; widen the columns to bigint, .*"
# The sentence without the check's title.
CASES = (
    Case("server", r"database .* \d+\.\d s; see that .*", before=WARNING, numbers={"warning": 0}),
    Case(
        "rights", r"Role .* app may create objects in schema public, which no migration says: REVOKE that\.",
        deed=as_superuser("GRANT CREATE ON SCHEMA public TO {app}", "REVOKE CREATE ON SCHEMA public FROM {app}"),
        state=CRITICAL,
    ),
    Case(
        "rights", r"Can't connect to database .* password authentication failed .*", label="password", state=CRITICAL,
        deed=as_superuser("ALTER ROLE {app} PASSWORD 'another'", f"ALTER ROLE {{app}} PASSWORD {literal(PASSWORD)}"),
    ),
    Case(
        "collations", r"The system sorts text otherwise than when the indexes of database .* were made .*",
        deed=as_superuser(
            f"UPDATE pg_database SET datcollversion = '2.28' {OURS}",
            f"UPDATE pg_database SET datcollversion = NULL {OURS}",
        ),
        state=CRITICAL,
    ),
    Case(
        "invalid_indexes", r"public\.twice; make each anew .*", deed=a_failed_index, undo=["DROP INDEX twice"],
    ),
    Case(
        "unvalidated_constraints", r"positive of public\.t; correct those rows .*",
        [*FILLED, "ALTER TABLE t ADD CONSTRAINT positive CHECK (x > 0) NOT VALID"],
        undo=["ALTER TABLE t VALIDATE CONSTRAINT positive"],
    ),
    Case(
        "sequences", r"public\.t_id_seq 93\.1%" + WIDEN, label="serial", state=CRITICAL,
        statements=["CREATE TABLE t (id serial PRIMARY KEY)", "SELECT setval('t_id_seq', 2000000000)"],
        undo=["ALTER TABLE t ALTER id TYPE bigint", "ALTER SEQUENCE t_id_seq AS bigint"],
    ),
    Case(
        "sequences", r"public\.t_id_seq 76\.3%" + WIDEN, label="identity",
        statements=[
            "CREATE TABLE t (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", "SELECT setval('t_id_seq', 25000)",
        ],
    ),
    Case(
        "sequences", r"public\.own 93\.1% \(the end is that of integer in t\.id\)" + WIDEN, label="column",
        statements=[
            "CREATE SEQUENCE own", "CREATE TABLE t (id int PRIMARY KEY DEFAULT nextval('own'))",
            "SELECT setval('own', 2000000000)",
        ],
        state=CRITICAL,
    ),
    Case(
        "sequences", r"public\.t_id_seq 93\.1% \(the end is that of integer in u\.t_id\)" + WIDEN, label="reference",
        statements=[
            "CREATE TABLE t (id bigserial PRIMARY KEY)", "SELECT setval('t_id_seq', 2000000000)",
            "CREATE TABLE u (id int PRIMARY KEY, t_id int REFERENCES t)",
        ],
        state=CRITICAL,
    ),
    Case(
        "sequences", r"public\.own 90\.0%" + WIDEN, label="descending", state=CRITICAL,
        statements=["CREATE SEQUENCE own INCREMENT -1 MINVALUE -100 MAXVALUE 0 START 0", "SELECT setval('own', -90)"],
        undo=["ALTER SEQUENCE own CYCLE"],
    ),
    Case(
        "tables_without_primary_key", r"public\.t; add one .*", ["CREATE TABLE t (id int)"],
        undo=["ALTER TABLE t ADD PRIMARY KEY (id)"],
    ),
    Case(
        "transaction_age", r".* \d+.*; end what holds vacuum back .*",
        deed=lambda examined: examined.run(*["SELECT pg_current_xact_id()"] * 60), more_than_before=50,
    ),
    Case(
        "multixact_age", r".* \d+.*; end what holds vacuum back .*", deed=a_multixact, more_than_before=1,
    ),
    Case(
        "bloat", r"public\.t \d\d\.\d% \(\d+ kB\); find what .*",
        [*FILLED, "DELETE FROM t WHERE id % 10 <> 0", "VACUUM ANALYZE t"], numbers={"bytes": 50_000},
        undo=["VACUUM FULL ANALYZE t"],
    ),
    Case(
        "dead_tuples", r"public\.t 50\.0%; end what .*", [*FILLED, "UPDATE t SET x = 1"], numbers={"rows": 1000},
        undo=["VACUUM t"],
    ),
    Case(
        "never_vacuumed", r"public\.t; see that autovacuum is on .*", FILLED, numbers={"rows": 1000}, undo=["VACUUM t"],
    ),
    Case(
        "stale_statistics", r"public\.t 100\.0%; run ANALYZE, .*", FILLED, numbers={"rows": 1000}, undo=["ANALYZE t"],
        label="never",
    ),
    Case(
        "stale_statistics", r"public\.t 60\.0%; run ANALYZE, .*",
        [*FILLED, "ANALYZE t", FLUSH, "UPDATE t SET x = 1 WHERE id > 800"], numbers={"rows": 1000}, undo=["ANALYZE t"],
    ),
    Case(
        "unused_indexes", r"public\.unused \d+ kB; drop it .*", [*FILLED, "CREATE INDEX unused ON t (x)"],
        numbers={"warning": 1, "days": 0}, undo=["SET enable_seqscan = off", "SELECT FROM t WHERE x = 1"],
    ),
    Case(
        "foreign_keys_without_index", r"public\.u \(b, a\) 10 \(constraint own\); CREATE .*",
        [
            "CREATE TABLE t (a int, b int, PRIMARY KEY (a, b))",
            "INSERT INTO t SELECT g, g FROM generate_series(1, 10) g",
            "CREATE TABLE u (id int PRIMARY KEY, a int, b int, CONSTRAINT own FOREIGN KEY (b, a) REFERENCES t (a, b))",
            "INSERT INTO u SELECT g, g, g FROM generate_series(1, 10) g",
            "CREATE INDEX ON u (a)", "CREATE INDEX ON u (b, a) WHERE a > 3", "CREATE INDEX ON u (b) INCLUDE (a)",
            "CREATE INDEX ON u USING brin (b, a)",
        ],
        numbers={"warning": 10}, undo=["CREATE INDEX ON u (a, b, id)"],
    ),
    Case(
        "sequential_scans", r"public\.t \d+\.\d%; find the .*", [*FILLED, *["SELECT count(*) FROM t"] * 5],
        numbers={"rows": 1000, "scans": 5},
    ),
    Case(
        "duplicate_indexes", r"public\.t_x_key and public\.again 16 kB; drop the .*",
        [
            "CREATE TABLE t (id int PRIMARY KEY, x int UNIQUE, y int)", "INSERT INTO t SELECT 1, 1, 1",
            "CREATE INDEX again ON t (x)", "CREATE INDEX ON t (x DESC)", "CREATE INDEX ON t (x) WHERE y > 1",
            "CREATE INDEX ON t (x, y)",
        ],
        undo=["DROP INDEX again"],
    ),
    Case(
        "cache_hits", r"blocks of database .* \d+\.\d%; .*", FILLED, numbers={"warning": 1, "blocks": 1},
        before=WARNING,
    ),
    Case(
        "long_transactions", r"process \d+ of role .* [\d.]+ s \(SELECT pg_sleep\(30\)\); see .*",
        deed=a_long_transaction, numbers={"warning": 0.2},
    ),
    Case(
        "idle_in_transaction", r"process \d+ of role .* app [\d.]+ s \(SELECT 1\); have .*", deed=an_idle_transaction,
        numbers={"critical": 0.2}, state=CRITICAL,
    ),
    Case(
        "prepared_transactions", r"'left' of role .* \d\.\d s; end it .*", deed=a_prepared_transaction,
        numbers={"warning": 0},
    ),
    Case("replication_slots", r"left \d+.*; connect .*", deed=a_left_slot, numbers={"warning": 1}),
    Case(
        "waiting_locks", r"process \d+ .* [\d.]+ s \(for process \d+\); see .*", deed=a_waiting_session,
        numbers={"warning": 0.2},
    ),
    Case(
        "connections", r"role .* 50\.0% \(its CONNECTION LIMIT is 2\); .*", deed=all_connections,
        numbers={"warning": 0.5},
    ),
    Case(
        "disk", r"(data|state) directory .* \d+\.\d%; (data|state) directory .* \d+\.\d%; free some .*",
        numbers={"warning": 0}, before=WARNING,
    ),
    Case(
        "backup_age", r"no backup since the first run 8\.0 days; take one with slipway\.deploy\.backup.*",
        deed=old_records(8), before=UNKNOWN, label="none",
    ),
    Case("backup_age", r"backup old 40 days; take one .*", deed=an_old_backup, before=UNKNOWN, state=CRITICAL),
    Case(
        "database_certificate", r".*/server\.pem [\d.]+ days; deploy, which renews it .*",
        deed=a_database_certificate_that_ends, state=CRITICAL,
    ),
    Case("certificate", r".*/site\.pem [\d.]+ h; get a new one, .*", deed=a_certificate_that_ends, state=CRITICAL),
    Case(
        "certificate", r"on host front [\d.]+ h; get a new one, .*", deed=a_certificate_elsewhere_that_ends,
        state=CRITICAL, label="elsewhere",
    ),
    Case(
        "certificate", r"not known: the certificate on host front can't be read: There is no .*: deploy first\.",
        deed=a_host_that_does_not_say, state=UNKNOWN, label="unknown",
    ),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.label}".strip())
def test_it_is_found(examined: Examined, case: Case) -> None:
    numbers = dict(case.numbers)
    if case.more_than_before:  # of the whole server, whatever ran there before
        numbers["warning"] = (examined.find(case.name).value or 0) + case.more_than_before
    assert examined.find(case.name, **numbers).state == case.before
    if case.statements:
        examined.run(*case.statements)
    case.deed(examined)
    found = examined.find(case.name, **numbers)
    assert found.state == case.state, found
    sentence = found.sentence.removeprefix(f"{found.rule.title}: ") if found.rule.remedy else found.sentence
    assert re.fullmatch(case.sentence, sentence), found.sentence
    if case.undo:
        examined.run(*case.undo)
        found = examined.find(case.name, **numbers)
        assert found.state == OK, found


def test_there_is_a_case_for_each_check() -> None:
    # test_health_info.py: the slowest statements, in a container that has the extension.
    assert {case.name for case in CASES} | {"slow_statements"} == set(NAMES)


def test_a_database_that_does_not_answer_is_critical(examined: Examined) -> None:
    old_records(8)(examined)
    allow = f"ALTER DATABASE {quote(examined.site.database)} ALLOW_CONNECTIONS"
    examined.site.postgres.execute(f"{allow} false")
    found = examined.all()
    examined.site.postgres.execute(f"{allow} true")
    states: dict[str, Any] = {name: each.state for name, each in found.items() if each.state != UNKNOWN}
    assert states == {
        "server": CRITICAL,
        "disk": OK,
        "backup_age": WARNING,
        "certificate": OK,
        "database_certificate": OK,
    }
    assert "is not currently accepting connections" in found["server"].sentence
    assert {each.sentence for each in found.values() if each.state == UNKNOWN} == {""}


def test_no_check_waits_for_a_lock_or_takes_what_is_hidden_for_nothing(examined: Examined) -> None:
    examined.run("CREATE TABLE t (id int PRIMARY KEY)")
    opened = examined.session(examined.site.roles.owner)
    opened.autocommit = False
    opened.cursor().execute("REINDEX INDEX t_pkey")
    found = examined.find("duplicate_indexes")
    assert (found.state, found.value) == (UNKNOWN, None)
    assert found.sentence.endswith(": not known: The check failed: canceling statement due to lock timeout.")

    role = examined.site.roles.readonly
    examined.admin = {"login_user": role, "login_password": PASSWORD}
    for name in ("long_transactions", "idle_in_transaction", "waiting_locks", "connections"):
        found = examined.find(name)
        assert found.state == UNKNOWN
        advice = f"GRANT pg_read_all_stats TO {quote(role)}"
        assert found.sentence.endswith(f": not known: role {role} does not see the sessions of others: {advice}.")
    examined.site.execute(f"GRANT pg_monitor TO {quote(role)}")
    assert examined.find("connections").state == OK
    examined.site.execute(f"REVOKE pg_monitor FROM {quote(role)}")
