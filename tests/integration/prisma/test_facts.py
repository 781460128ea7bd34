# SPDX-License-Identifier: GPL-3.0-or-later
"""How Prisma Migrate behaves, a table for each of its rules: Slipway reads what it left, writes the same, says more.

Where Slipway does otherwise on purpose, both are in the row. Real Prisma is asked in prisma/test_interoperability.py.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import checksums
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, connect
from conftest import Postgres
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.migration_faults import attempt
from support.migrations import Bed

B = "CREATE TABLE b (id int);\n"
SLOW = "CREATE TABLE b (id int);\nSELECT pg_sleep(600);\n"
BROKEN = "CREATE TABLE b (id int);\nSELECT 1/0;\n"
PRISMAS_TABLE = """
    CREATE TABLE IF NOT EXISTS public._prisma_migrations (
        id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ,
        migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
        started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)
"""
# A row in the words of the tables below.
IN_WORDS = """
    SELECT CASE WHEN finished_at = started_at THEN '= started_at' WHEN finished_at IS NULL THEN 'NULL' ELSE 'set' END,
           CASE WHEN rolled_back_at IS NULL THEN 'NULL' ELSE 'set' END,
           applied_steps_count,
           CASE WHEN logs IS NULL THEN 'NULL' WHEN logs = '' THEN 'empty' ELSE 'error text' END
      FROM _prisma_migrations WHERE migration_name = '2_b' ORDER BY started_at, rolled_back_at NULLS LAST
"""
FROM_WORDS = {"NULL": "NULL", "set": "now() + interval '1 s'", "= started_at": "now()", "empty": "''",
              "error text": "'ERROR: boom'"}  # fmt: skip

Words = tuple[str, str, int, str]


@dataclass
class Desk(Bed):
    """A database of Slipway's in which 1_a is applied, and what Prisma would do to it."""

    def leave(self, *rows: Words, name: str = "2_b", sql: str = B) -> None:
        """Write rows as Prisma leaves them."""
        for finished, rolled_back, steps, logs in rows:
            self.sql(
                "INSERT INTO _prisma_migrations SELECT gen_random_uuid(), "
                f"'{checksums(sql)[0]}', {FROM_WORDS[finished]}, '{name}', {FROM_WORDS[logs]}, "
                f"{FROM_WORDS[rolled_back]}, now(), {steps}"
            )

    def words(self) -> list[tuple[object, ...]]:
        return self.sql(IN_WORDS)

    def lists(self) -> dict[str, object]:
        """What the state says beside what is applied, without what is empty."""
        return {name: value for name, value in self.survey().result().items() if value and name != "applied"}

    def remove(self, name: str) -> None:
        shutil.rmtree(self.directory / name)


@pytest.fixture
def empty(postgres: Postgres, tmp_path: Path) -> Desk:
    desk = Desk(postgres, postgres.database(), tmp_path / "migrations")
    desk.directory.mkdir()
    return desk


@pytest.fixture
def desk(empty: Desk) -> Desk:
    empty.write("1_a", "CREATE TABLE a (id int);\n")
    empty.migrate()
    empty.write("2_b", B)
    return empty


# What an event leaves in the history.


def succeed(desk: Desk) -> None:
    desk.migrate()


def fail(desk: Desk) -> None:
    desk.write("2_b", BROKEN)
    assert "division by zero" in desk.fails()


def be_killed(desk: Desk) -> None:
    """Kill a run while the second statement of its file is being executed."""
    desk.write("2_b", SLOW)
    runs = (
        "SELECT query ~ 'pg_sleep' FROM pg_stat_activity "
        f"WHERE application_name = 'slipway migrations' AND datname = '{desk.database}'"
    )
    processes = multiprocessing.get_context("forkserver")
    begun = processes.Event()
    _, output = processes.Pipe(duplex=False)
    arguments = (desk.server, desk.payload().dump(), begun, output, "kill", 0)
    process = processes.Process(target=attempt, args=arguments)
    process.start()
    try:
        wait_until(lambda: desk.sql(runs) == [(True,)])
    finally:
        process.kill()
        process.join()
    wait_until(lambda: desk.sql(runs) == [])


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


FAILED: Words = ("NULL", "NULL", 0, "error text")
KILLED: Words = ("NULL", "NULL", 0, "NULL")
ROLLED_BACK: Words = ("NULL", "set", 0, "error text")
FINISHED: Words = ("set", "NULL", 1, "NULL")
RESOLVED: Words = ("= started_at", "NULL", 0, "empty")


@dataclass(frozen=True)
class Event:
    """What Prisma leaves at an event, what Slipway says of that, and what it leaves itself."""

    prismas: list[Words]
    status: str
    happens: Callable[[Desk], object]
    ours: list[Words]


EVENTS = {
    "success": Event([FINISHED], "up_to_date", succeed, [FINISHED]),
    "failure": Event([FAILED], "failed", fail, [ROLLED_BACK]),
    "process killed": Event([KILLED], "failed", be_killed, []),
    "resolve --applied, no row": Event(
        [RESOLVED], "up_to_date", lambda desk: desk.resolve("applied", "2_b"), [RESOLVED]
    ),
    "resolve --applied on a failed one": Event(
        [ROLLED_BACK, RESOLVED],
        "up_to_date",
        lambda desk: (desk.leave(FAILED), desk.resolve("applied", "2_b")),
        [ROLLED_BACK, RESOLVED],
    ),
    "resolve --rolled-back on a failed one": Event(
        [ROLLED_BACK],
        "pending",
        lambda desk: (desk.leave(FAILED), desk.resolve("rolled_back", "2_b")),
        [ROLLED_BACK],
    ),
}
events = pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())


@events
def test_what_prisma_leaves_is_read(desk: Desk, event: Event) -> None:
    desk.leave(*event.prismas)
    assert desk.words() == event.prismas
    assert desk.survey().status == event.status
    if event.status == "failed":
        assert ("ERROR: boom" in desk.fails()) == (FAILED in event.prismas)
        assert desk.tables() == ["a"]
    else:
        assert desk.migrate()["status"] == "up_to_date"
        assert desk.tables() == (["a", "b"] if event.status == "pending" else ["a"])


@events
def test_what_slipway_leaves(desk: Desk, event: Event) -> None:
    event.happens(desk)
    assert desk.words() == event.ours


def test_nothing_of_slipways_needs_a_human(desk: Desk) -> None:
    be_killed(desk)
    assert desk.tables() == ["a"]
    fail(desk)
    desk.write("2_b", B)
    assert desk.lists() == {"status": "pending", "pending": ["2_b"], "rolled_back": ["2_b"]}
    assert desk.migrate()["status"] == "up_to_date"
    assert desk.words() == [ROLLED_BACK, FINISHED]


def test_the_last_row_counts_by_its_start(desk: Desk) -> None:
    """Rows are read in the order of ``started_at``, wherever they lie in the table."""
    desk.leave(FINISHED)
    desk.leave(FINISHED, sql="an older text")
    desk.sql("UPDATE _prisma_migrations SET started_at = now() - interval '1 h' "
             f"WHERE migration_name = '2_b' AND checksum <> '{checksums(B)[0]}'")  # fmt: skip
    assert desk.survey().status == "up_to_date"


ERRORS = [
    # Prisma's code, state, name, what Slipway says; done twice by Slipway is done
    pytest.param("applied", "1_a", "", id="P3008 already finished"),
    pytest.param("applied", "9_x", "There is no file for the migration '9_x'", id="P3017 no such directory"),
    pytest.param("rolled_back", "2_b", "The migration '2_b' has no row in the history", id="P3011 no row"),
    pytest.param("rolled_back", "1_a", "The migration '1_a' is applied, not failed", id="P3012 all rows finished"),
]


@pytest.mark.parametrize(("state", "name", "says"), ERRORS)
def test_errors_of_resolve(desk: Desk, state: str, name: str, says: str) -> None:
    before = desk.sql("SELECT * FROM _prisma_migrations")
    if says:
        with pytest.raises(SlipwayError, match=says):
            desk.resolve(state, name)
    else:
        assert desk.resolve(state, name) == []
    assert desk.sql("SELECT * FROM _prisma_migrations") == before


# How the script is sent, and what a failing file leaves.


@dataclass(frozen=True)
class Sending:
    """What a file that fails half-way leaves under a Prisma, and a sound file that it can't send."""

    leaves: list[str]
    breaks: str


SENDINGS = {
    "native engine to 7.3: one simple query": Sending(
        [], "CREATE TABLE c (id int); CREATE INDEX CONCURRENTLY i ON c (id);"
    ),
    "native engine from 7.4: each statement commits": Sending(
        ["b"], "CREATE TABLE c (id int); INSERT INTO c VALUES (1); SELECT * FROM c;"
    ),
    "driver adapter: split at every ;": Sending(
        ["b"],
        "CREATE TABLE c (id int); -- one; two\n/* a; b */ COMMENT ON TABLE c IS 'x; y';\n"
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 2; END $$;",
    ),
}
sendings = pytest.mark.parametrize("sending", SENDINGS.values(), ids=SENDINGS.keys())


@sendings
def test_a_failed_row_of_prismas_is_never_taken_for_rolled_back(desk: Desk, sending: Sending) -> None:
    desk.leave(FAILED)
    for table in sending.leaves:
        desk.sql(f"CREATE TABLE {table} (id int)")
    assert "its changes may be there in part: ERROR: boom. Look at the database" in desk.fails()
    assert desk.words() == [FAILED]
    desk.resolve("rolled_back", "2_b")
    if sending.leaves:  # it was not undone by hand, as whoever resolved it said: that shows, and does no harm
        assert 'relation "b" already exists' in desk.fails()
        desk.sql("DROP TABLE b")
    assert desk.migrate()["status"] == "up_to_date"
    assert desk.tables() == ["a", "b"]


@sendings
def test_slipway_sends_it_whole_and_leaves_nothing_of_one_that_fails(desk: Desk, sending: Sending) -> None:
    desk.write("2_b", BROKEN)
    desk.fails()
    assert desk.tables() == ["a"]
    desk.write("2_b", sending.breaks)
    assert desk.migrate()["status"] == "up_to_date"
    assert desk.words() == [ROLLED_BACK, FINISHED]
    assert desk.tables() == ["a", "c"]


# What each situation is called.


def failed(desk: Desk) -> None:
    desk.sql("UPDATE _prisma_migrations SET finished_at = NULL, applied_steps_count = 0 WHERE migration_name = '2_b'")


def rolled_back(desk: Desk) -> None:
    failed(desk)
    desk.resolve("rolled_back", "2_b")


SITUATIONS: dict[str, tuple[Callable[[Desk], object], dict[str, object]]] = {
    "up to date": (lambda desk: None, {"status": "up_to_date"}),
    "pending": (lambda desk: desk.write("3_c", ""), {"status": "pending", "pending": ["3_c"]}),
    "failed": (failed, {"status": "failed", "failed": ["2_b"]}),
    "failed and pending": (
        lambda desk: (failed(desk), desk.write("3_c", "")),
        {"status": "failed", "failed": ["2_b"], "pending": ["3_c"]},
    ),
    "applied, missing locally": (lambda desk: desk.remove("1_a"), {"status": "missing", "missing": ["1_a"]}),
    "edited after it was applied": (
        lambda desk: desk.write("1_a", "CREATE TABLE a (id bigint);\n"),
        {"status": "edited", "edited": ["1_a"]},
    ),
    "missing locally and something pending": (
        lambda desk: (desk.remove("1_a"), desk.write("3_c", "")),
        {"status": "missing", "missing": ["1_a"], "pending": ["3_c"]},
    ),
    "out of order": (
        lambda desk: desk.write("1_b", ""),
        {"status": "pending", "pending": ["1_b"], "out_of_order": ["1_b"]},
    ),
    "after resolve --rolled-back": (
        rolled_back,
        {"status": "pending", "pending": ["2_b"], "rolled_back": ["2_b"]},
    ),
}


@pytest.mark.parametrize(("arrange", "said"), SITUATIONS.values(), ids=SITUATIONS.keys())
def test_status(desk: Desk, arrange: Callable[[Desk], object], said: dict[str, object]) -> None:
    """Each begins with both files applied. ``playbooks/status.yml`` ends with 0 for ``up_to_date`` alone."""
    desk.migrate()
    arrange(desk)
    assert desk.lists() == said


def test_status_of_no_migrations_and_no_table(empty: Desk) -> None:
    with pytest.raises(SlipwayError, match=r"^The directory of migrations .* holds no migration"):
        empty.survey()


def test_deploying_out_of_order_is_told(desk: Desk) -> None:
    desk.migrate()
    desk.write("1_b", "")
    (warning,) = desk.outcome(desk.files()).warnings
    assert warning.startswith("The migration '1_b' is pending but comes before '2_b', which is applied")


# Which databases without a history are somebody else's: P3005.

OTHERS = [
    # made, counts
    ("CREATE TABLE t ()", True),
    ("CREATE UNLOGGED TABLE t ()", True),
    ("CREATE VIEW t AS SELECT 1", False),
    ("CREATE MATERIALIZED VIEW t AS SELECT 1", False),
    ("CREATE SEQUENCE t", False),
    ("CREATE TYPE t AS (x int)", False),
    ("CREATE FUNCTION t() RETURNS int LANGUAGE sql AS 'SELECT 1'", False),
    ("CREATE TABLE t (id int) PARTITION BY LIST (id)", False),
    ("CREATE TABLE t (id int) PARTITION BY LIST (id); CREATE TABLE u PARTITION OF t DEFAULT", False),
    ("CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE t () SERVER s",
     False),
    ("CREATE EXTENSION vector; CREATE TABLE t (); ALTER EXTENSION vector ADD TABLE t", False),
    ("CREATE SCHEMA other; CREATE TABLE other.t ()", False),
]  # fmt: skip


@pytest.mark.parametrize(("made", "counts"), OTHERS)
def test_what_keeps_a_database_without_a_history(empty: Desk, made: str, counts: bool) -> None:
    empty.write("1_a", "CREATE TABLE a ()")
    empty.sql(made)
    assert empty.survey().status == ("unmanaged" if counts else "pending")
    if counts:
        assert empty.fails().startswith("The database holds 1 table but no history of migrations")
        empty.resolve("applied", "1_a")
    assert empty.migrate()["status"] == "up_to_date"


# The history table.


def test_an_id_is_as_prismas(desk: Desk) -> None:
    desk.migrate()
    uuid4 = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    assert desk.sql(f"SELECT DISTINCT id ~ '{uuid4}', checksum ~ '^[0-9a-f]{{64}}$' FROM _prisma_migrations") == [
        (True, True)
    ]


def test_more_columns_in_another_order_do_no_harm(empty: Desk) -> None:
    empty.sql(PRISMAS_TABLE + "; ALTER TABLE _prisma_migrations DROP COLUMN logs, ADD note text, ADD logs text")
    empty.write("1_a", "CREATE TABLE a ()")
    assert empty.migrate()["status"] == "up_to_date"
    empty.write("2_b", "SELECT 1/0")
    empty.fails()
    assert empty.sql("SELECT note, logs IS NULL FROM _prisma_migrations ORDER BY started_at") == [
        (None, True),
        (None, False),
    ]


CRLF = B.replace("\n", "\r\n")
CHECKSUMS = [
    # stored, the file now, what Slipway says
    pytest.param(checksums(B)[0], B, "up_to_date", id="of the text"),
    pytest.param(checksums(CRLF)[0], B, "up_to_date", id="of the text with CRLF"),
    pytest.param(checksums(B)[0], CRLF, "up_to_date", id="of the text with LF"),
    pytest.param(checksums(B)[0].upper(), B, "edited", id="in upper case"),
    pytest.param("", B, "edited", id="empty"),
    pytest.param(checksums(B)[0], B.rstrip(), "edited_whitespace", id="of the text with a final newline"),
    pytest.param(checksums(B)[0], "\ufeff" + B, "edited", id="of the text without a byte order mark"),
]


@pytest.mark.parametrize(("stored", "now", "status"), CHECKSUMS)
def test_checksums(desk: Desk, stored: str, now: str, status: str) -> None:
    desk.leave(FINISHED)
    desk.sql(f"UPDATE _prisma_migrations SET checksum = '{stored}' WHERE migration_name = '2_b'")
    desk.write("2_b", now)
    assert desk.survey().status == status


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + B.encode(), b"-- caf\xe9\n" + B.encode()])
def test_bytes_that_prisma_took(desk: Desk, content: bytes) -> None:
    """What could not be applied is refused while it is pending, and known again once Prisma has applied it."""
    desk.write("2_b", content)
    assert "save it as UTF-8" in desk.fails()
    desk.leave(FINISHED, sql=content.decode(errors="replace"))
    assert desk.migrate()["status"] == "up_to_date"


# Which entries are migrations.

ENTRIES = [
    pytest.param("2_b", b"", id="empty"),
    pytest.param("2_b", b"-- nothing\n/* to do; */", id="comment only"),
    pytest.param("2_" + "b" * 248, b"SELECT 1", id="250 characters"),
    pytest.param('2 b\'s "%s" {} é;--\n🙂', b"SELECT 1", id="odd characters"),
    pytest.param("no time stamp", b"SELECT 1", id="no time stamp"),
    pytest.param(".hidden", b"SELECT 1", id="hidden"),
]


@pytest.mark.parametrize(("name", "content"), ENTRIES)
def test_entries(desk: Desk, name: str, content: bytes) -> None:
    desk.remove("2_b")
    desk.write(name, content)
    assert [each["name"] for each in desk.migrate()["applied_now"]] == [name]
    found = desk.sql("SELECT migration_name, applied_steps_count FROM _prisma_migrations ORDER BY started_at")
    assert found == [("1_a", 1), (name, 1)]
    assert desk.survey().status == "up_to_date"


def test_a_lost_file(desk: Desk) -> None:
    desk.write("3_c", "").unlink()
    assert "The migration '3_c' has no file migrations/3_c/migration.sql: restore it" in desk.fails()
    assert desk.tables() == ["a"]  # nothing before it is applied either
    desk.leave(FINISHED, name="3_c")
    assert desk.lists()["missing"] == ["3_c"]


# Schemas.


def test_the_schema_is_the_one_told_whatever_the_role_searches(empty: Desk) -> None:
    empty.sql(f"CREATE SCHEMA first; ALTER DATABASE {empty.database} SET search_path = first, public")
    empty.write("1_a", "CREATE TABLE a ()")
    empty.migrate()
    assert empty.rows()
    assert empty.tables() == ["a"]
    assert empty.sql("SELECT count(*) FROM pg_class WHERE relnamespace = 'first'::regnamespace") == [(0,)]


@pytest.mark.parametrize("schema", ["app", 'My "own" schema', "50 % off", "a'b\\c é", "select"])
def test_another_schema_is_made_and_used(empty: Desk, schema: str) -> None:
    empty.schema = schema
    empty.write("1_a", "CREATE TABLE a (); CREATE TABLE b (id int)")
    empty.write("2_i", "CREATE INDEX CONCURRENTLY i ON b (id)")
    assert empty.migrate()["status"] == "up_to_date"
    found = empty.sql("SELECT DISTINCT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
                      "WHERE relname IN ('_prisma_migrations', 'a', 'b', 'i')")  # fmt: skip
    assert found == [(schema,)]
    empty.write("3_c", "SELECT 1/0")
    empty.fails()
    empty.resolve("applied", "3_c")
    assert empty.survey().status == "up_to_date"


# Traps that Prisma falls into. Those of locks and concurrent statements are in test_locks.py and test_leftovers.py,
# those of what leaks from a file in test_session.py, a killed process in test_migrate_faults.py, drift in
# _drift/test_comparison.py.

TRAPS = {
    "BEGIN without COMMIT": ("BEGIN;\nCREATE TABLE b ();", "1:1: this transaction is never committed"),
    "ROLLBACK at the end": ("CREATE TABLE b ();\nROLLBACK;", "2:1: the file ends by undoing its own transaction"),
    "an error before COMMIT": ("BEGIN;\nCREATE TABLE b ();\nSELECT nope;\nCOMMIT;", '3:8: column "nope" does not'),
}  # fmt: skip


@pytest.mark.parametrize(("sql", "says"), TRAPS.values(), ids=TRAPS.keys())
def test_a_files_own_transaction(desk: Desk, sql: str, says: str) -> None:
    desk.write("2_b", sql)
    assert f"migrations/2_b/migration.sql:{says}" in desk.fails()
    assert desk.survey().applied == ("1_a",)
    assert desk.tables() == ["a"]
    for (logs,) in desk.sql("SELECT logs FROM _prisma_migrations WHERE migration_name = '2_b'"):
        assert says in str(logs)


@dataclass
class Listener:
    """Listens where a server should, with TLS if it has a certificate, and keeps what it is told after that."""

    certificate: Path | None
    heard: list[bytes] = field(default_factory=list)

    def __enter__(self) -> Listener:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                with client, contextlib.suppress(OSError):
                    self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(5)
        client.recv(8)  # the request for TLS
        if self.certificate:
            client.sendall(b"S")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            client = context.wrap_socket(client, server_side=True)
        else:
            client.sendall(b"N")
        said = client.recv(1000)
        if said:
            self.heard.append(said)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two keys with their certificates, each signed by itself: the server's, and somebody else's."""
    directory = tmp_path_factory.mktemp("tls")
    now, day = datetime.now(UTC), timedelta(days=1)
    for owner in ("own", "other"):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, owner)])
        made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
        signed = made.add_extension(address, critical=False).sign(key, hashes.SHA256())
        form, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private = key.private_bytes(form, pkcs8, serialization.NoEncryption())
        (directory / owner).write_bytes(private + signed.public_bytes(form))
    return {file.name: file for file in directory.iterdir()}


MODES = [
    # mode, whether the server speaks TLS, whose certificate is trusted, the server's address, whether it is talked to
    ("prefer", False, "", "127.0.0.1", True),
    ("prefer", True, "", "127.0.0.1", True),
    ("require", False, "", "127.0.0.1", False),
    ("verify-full", False, "own", "127.0.0.1", False),
    ("verify-full", True, "own", "127.0.0.1", True),
    ("verify-full", True, "own", "localhost", False),
    ("verify-full", True, "other", "127.0.0.1", False),
]


@pytest.mark.parametrize(("mode", "tls", "trusted", "host", "talks"), MODES)
def test_verify_full_is_no_less(
    certificates: dict[str, Path], mode: str, tls: bool, trusted: str, host: str, talks: bool
) -> None:
    with Listener(certificates["own"] if tls else None) as listener:
        authority = str(certificates[trusted]) if trusted else None
        server = Server("ada", "app", "secret", host, listener.port, "", mode, authority, 5)
        with pytest.raises(SlipwayError, match=r"^Can't connect to database 'app'"):
            connect(server)
    assert any(b"ada" in said for said in listener.heard) == talks
