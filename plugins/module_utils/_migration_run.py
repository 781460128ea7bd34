# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies pending migrations: one at a time, under Prisma's lock, each with its row of the history."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._connection import Server, connection, one_row
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import (
    Migration,
    Payload,
    Script,
    Step,
    excerpt,
    locate,
    steps,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import (
    BEGUN,
    NOW,
    HistoryTable,
    Row,
    quote,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_plan import Plan, make_plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration_progress import Progress

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

PRISMA_KEY = 72707369

# What a script may leave behind in the session, before its row is written and after the commit.
_RESTORE = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"
_DISCARD = "DISCARD TEMP; DISCARD SEQUENCES; DEALLOCATE ALL; CLOSE ALL; UNLISTEN *"

# The server's word that a statement can't share a transaction with what came before it.
_NOT_IN_TRANSACTION = {"25001", "2D000"}
_NOT_WITH_EARLIER = {"55P04"}

_HOLDER = """
    SELECT pid, application_name, coalesce(client_addr::text, 'the local socket'), usename,
           extract(epoch FROM clock_timestamp() - backend_start)::float
      FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE locktype = 'advisory' AND granted AND objsubid = 1
       AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (classid::bigint << 32) + objid::bigint = %s
"""


@dataclass(frozen=True)
class Applied:
    """A migration that this run has applied."""

    name: str
    seconds: float
    statements: int


class _FailedStatementError(Exception):
    """PostgreSQL refused a statement of a script, or the end of the transaction when ``number`` is None."""

    def __init__(self, number: int | None, error: psycopg2.Error) -> None:
        super().__init__(str(error))
        self.number = number
        self.error = error


def survey(server: Server, schema: str, directory: str, payload: Payload) -> Plan:
    """Compare the database with the files, in a session that can't write."""
    reader = connection(server, "slipway migrations", default_transaction_read_only="on")
    with reader as opened, opened.cursor() as cursor:
        return make_plan(directory, payload.migrations, HistoryTable(schema).read(cursor))


def migrate(
    server: Server, schema: str, directory: str, payload: Payload, lock_wait: float, lock_timeout: str
) -> tuple[dict[str, Any], list[str]]:
    """Apply what is pending and return the state with it applied, and what was done in sentences.

    Nothing is locked or written when nothing is pending. Raises SlipwayError when the state forbids to go on, the
    lock stays taken for ``lock_wait`` seconds, or a migration fails; the state then is in the error's details.
    """
    table = HistoryTable(schema)
    settings = {"lock_timeout": lock_timeout, "search_path": quote(schema), "client_encoding": "UTF8"}
    escaped = {name: re.sub(r"([\\\s])", r"\\\1", value) for name, value in settings.items()}
    applied: list[Applied] = []
    with connection(server, "slipway migrations", **escaped) as opened, opened.cursor() as cursor:
        opened.autocommit = True
        plan = make_plan(directory, payload.migrations, table.read(cursor))
        if plan.status == "up_to_date":
            return report(plan, applied), []
        with locked(cursor, PRISMA_KEY, lock_wait):
            plan = make_plan(directory, payload.migrations, table.read(cursor))
            plan.check()
            if plan.pending:
                _prepare(cursor, table, plan.managed)
            for migration in plan.pending:
                work = _Application(cursor, table, migration, payload.scripts[migration.name], plan.begun)
                try:
                    applied.append(work.run())
                except _FailedStatementError as error:
                    message = work.failure(error)
                    raise SlipwayError(message, migrations=report(plan, applied)) from error
    return report(plan, applied), [f"Applied {each.name} in {each.seconds:.3f} s." for each in applied]


def report(plan: Plan, applied: list[Applied]) -> dict[str, Any]:
    """The plan's result after some of its pending migrations were applied."""
    now = [each.name for each in applied]
    pending = [each.name for each in plan.pending if each.name not in now]
    return {
        **plan.result(),
        "status": plan.status if pending or not applied else "up_to_date",
        "applied": [*plan.applied, *now],
        "pending": pending,
        "applied_now": [asdict(each) for each in applied],
    }


@contextlib.contextmanager
def locked(cursor: Cursor, key: int, wait: float) -> Iterator[None]:
    """Hold a session's advisory lock, polled for rather than waited for: a waiter would hold up concurrent builds."""
    deadline = time.monotonic() + wait
    while True:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", (key,))
        if one_row(cursor)[0]:
            break
        if time.monotonic() >= deadline:
            cursor.execute(_HOLDER, (key,))
            holder = cursor.fetchone()
            if holder is None:  # given up this very moment
                continue
            pid, application, address, user, age = holder
            raise SlipwayError(
                f"Another migration run holds the lock {key} since {wait:g} s or longer: process {pid} "
                f"({application or 'unnamed application'}, role {user}, from {address}, connected for {age:.0f} s); "
                f"wait for it to end and run again, or end it with SELECT pg_terminate_backend({pid})."
            )
        time.sleep(min(0.1, max(0.01, deadline - time.monotonic())))
    try:
        yield
    finally:
        if not cursor.connection.closed:
            cursor.execute("SELECT pg_advisory_unlock(%s)", (key,))


class _Application:
    """One migration on its way into the database."""

    def __init__(
        self,
        cursor: Cursor,
        table: HistoryTable,
        migration: Migration,
        script: Script,
        begun: Mapping[str, tuple[Row, Progress]],
    ) -> None:
        self.cursor = cursor
        self.table = table
        self.migration = migration
        self.script = script
        row, progress = begun.get(migration.name, (None, None))
        self.row_id = row.id if row else ""
        self.done = progress.done if progress else 0
        if progress and not progress.fits(script):
            raise SlipwayError(
                f"The migration {migration.name!r} is half applied and the first {progress.done} statements of "
                f"{script.path}, which are, were edited since: restore them; the rest may be changed."
            )

    def run(self) -> Applied:
        """Apply the migration from where it stands. Raises _FailedStatementError with the transaction undone."""
        began, at_start = time.monotonic(), self.done
        todo = steps(self.script.statements, self.done) or [Step(self.done, self.done)]
        while todo:
            step, *rest = todo
            try:
                if step.alone:
                    self._outside(step, final=not rest)
                else:
                    self._transaction(step, final=not rest)
            except _FailedStatementError as failed:
                divided = self._divide(step, failed)
                if not divided:
                    raise
                rest = divided + rest
            todo = rest
        return Applied(self.migration.name, time.monotonic() - began, len(self.script.statements) - at_start)

    def failure(self, failed: _FailedStatementError) -> str:
        """Record the failure and return its message. A migration of which nothing is kept counts as rolled back."""
        lost = bool(self.cursor.connection.closed)
        message = explain(failed, self.migration.name, self.script, self.done, lost)
        if lost:
            return message
        if self.row_id:
            progress = Progress.of(self.script, self.done, error=message)
            self._execute(*self.table.update(self.row_id, {"logs": progress.dump(len(self.script.statements))}))
        else:
            self._execute(*self.table.insert(self._row(rolled_back_at=NOW, logs=message, started_at=BEGUN)))
        return message

    def _transaction(self, step: Step, final: bool) -> None:
        """Run a step and write how far it leads in one transaction."""
        parts = self.script.statements[step.first : step.last]
        own = bool(parts) and parts[0].kind == "begin"
        self._send(self.script.sql(parts[0]) if own else "BEGIN", step.first if parts else None)
        for number, part in enumerate(parts, step.first):
            if part.kind == "rollback":
                self._send("ROLLBACK; BEGIN", number)
            elif part.kind not in ("begin", "commit"):
                self._send(self.script.sql(part), number)
        sql, values = self._record(step.last, final)
        try:
            self.cursor.execute(f"{_RESTORE}; {sql}; COMMIT; {_DISCARD}", values)
        except psycopg2.Error as error:
            self._undo()
            raise _FailedStatementError(None, error) from error
        self.done = step.last

    def _outside(self, step: Step, final: bool) -> None:
        """Run a statement that PostgreSQL refuses in a transaction, with a note of it before and after."""
        self._execute(*self._record(self.done, final=False, running=True))
        self._send(self.script.sql(self.script.statements[step.first]), step.first)
        self._execute(_RESTORE)
        self._execute(*self._record(step.last, final))
        self.done = step.last

    def _send(self, sql: str, number: int | None) -> None:
        try:
            self.cursor.execute(sql)
        except psycopg2.Error as error:
            self._undo()
            raise _FailedStatementError(number, error) from error

    def _undo(self) -> None:
        if not self.cursor.connection.closed:
            self.cursor.execute("ROLLBACK")
            self.cursor.execute(f"{_RESTORE}; {_DISCARD}")

    def _execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        self.cursor.execute(sql, values)

    def _row(self, **more: object) -> dict[str, object]:
        return {
            "id": str(uuid.uuid4()),
            "checksum": self.migration.checksums[0],
            "migration_name": self.migration.name,
            **more,
        }

    def _record(self, done: int, final: bool, running: bool = False) -> tuple[str, Mapping[str, Any]]:
        """The statement that writes to the history how far the migration has come."""
        if final:
            state = {"finished_at": NOW, "applied_steps_count": 1, "logs": None}
        else:
            logs = Progress.of(self.script, done, running).dump(len(self.script.statements))
            state = {"applied_steps_count": 0, "logs": logs}
        if self.row_id:
            return self.table.update(self.row_id, {**state, "checksum": self.migration.checksums[0]})
        row = self._row(started_at=BEGUN, **state)
        if not final:
            self.row_id = str(row["id"])
        return self.table.insert(row)

    def _divide(self, step: Step, failed: _FailedStatementError) -> list[Step]:
        """The same step in smaller ones, when the server says that a statement can't run in this transaction."""
        number, code = failed.number, failed.error.pgcode
        if number is None or step.alone or self.script.statements[step.first].kind == "begin":
            return []
        before = [Step(step.first, number)] if number > step.first else []
        if code in _NOT_IN_TRANSACTION:
            after = [Step(number + 1, step.last)] if number + 1 < step.last else []
            return [*before, Step(number, number + 1, alone=True), *after]
        if code in _NOT_WITH_EARLIER and before:
            return [*before, Step(number, step.last)]
        return []


def explain(failed: _FailedStatementError, name: str, script: Script, done: int, lost: bool) -> str:
    """An SQL failure for a person: where it is, what PostgreSQL said, what is kept, what to do.

    ``done`` statements are kept; ``lost`` says that the connection is gone, and with it the certainty of a commit.
    """
    error = failed.error
    said = error.diag
    if failed.number is None:
        place, shown = f"{script.path}, at its end", ""
    else:
        offset = script.statements[failed.number].start
        if said.statement_position:
            offset += int(said.statement_position) - 1
        line, column = locate(script.text, offset)
        place, shown = f"{script.path}:{line}:{column}", f"\n{excerpt(script.text, offset)}"
    message = said.message_primary or " ".join(str(error).split())
    code = f" (SQLSTATE {error.pgcode})" if error.pgcode else ""
    facts = {"DETAIL": said.message_detail, "HINT": said.message_hint, "CONTEXT": said.context}
    more = "".join(f"\n{label}: {text}" for label, text in facts.items() if text)
    if lost:
        advice = "The connection is lost: run again, the history tells how far this migration came."
    elif done:
        advice = (
            f"Its first {done} statements are kept: correct the rest of the file, or the data, and run again to go on."
        )
    else:
        advice = "Nothing of this migration was kept: correct the file, or the data, and run again."
    return f"Migration {name!r} failed at {place}: {message}{code}{shown}{more}\n{advice}"


def _prepare(cursor: Cursor, table: HistoryTable, exists: bool) -> None:
    """Make sure of a history that can be written to before anything else is."""
    try:
        if exists:
            cursor.execute(f"INSERT INTO {table.quoted} SELECT * FROM {table.quoted} WHERE false")
        else:
            cursor.execute("BEGIN")
            table.create(cursor)
            cursor.execute("COMMIT")
    except psycopg2.errors.InsufficientPrivilege as error:
        cursor.execute("ROLLBACK")
        raise SlipwayError(
            f"The role may not write the history of migrations in schema {table.schema!r} "
            f"({error.diag.message_primary}): run the migrations as the role that owns the schema."
        ) from error
