# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies one migration together with its row of the history, or goes on with one that was left half-way."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils import _migration_leftovers as leftovers
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import (
    Migration,
    Script,
    Step,
    excerpt,
    locate,
    steps,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import BEGUN, NOW, HistoryTable, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration_locks import PRISMA_KEY, Watch, acquire, release
from ansible_collections.slipway.deploy.plugins.module_utils._migration_progress import Progress

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor  # noqa: N812

# What a script may leave behind in the session: undone before its row is written, and after the commit.
_RESTORE = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"
_DISCARD = "DISCARD TEMP; DISCARD SEQUENCES; DEALLOCATE ALL; CLOSE ALL; UNLISTEN *"

# SQLSTATEs: a lock not got in time or a deadlock, worth another attempt; the server's word that a statement can't
# share a transaction with others, or (a value just added to an enum) with those before it.
_BUSY = {"55P03", "40P01"}
_NOT_IN_TRANSACTION = {"25001", "2D000"}
_NOT_WITH_EARLIER = {"55P04"}


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for other runs, and seconds to go on trying for locks on tables."""

    lock_wait: float
    lock_retry: float


@dataclass(frozen=True)
class Applied:
    """A migration that this run has applied; ``attempts`` above 1 were for locks, held by ``blockers``."""

    name: str
    seconds: float
    statements: int
    attempts: int = 1
    blockers: list[dict[str, Any]] = field(default_factory=list)


class StatementError(Exception):
    """PostgreSQL refused a statement of a script, or the end of its transaction when ``number`` is None."""

    def __init__(self, number: int | None, error: psycopg2.Error) -> None:
        super().__init__(str(error))
        self.number = number
        self.error = error


class Application:
    """One migration on its way into the database, over an autocommit connection that holds Prisma's lock."""

    def __init__(
        self,
        cursor: Cursor,
        table: HistoryTable,
        migration: Migration,
        script: Script,
        watch: Watch,
        patience: Patience,
    ) -> None:
        self.cursor = cursor
        self.table = table
        self.migration = migration
        self.script = script
        self.watch = watch
        self.patience = patience
        self.progress = Progress.of(script, 0)
        self.row_id = ""
        self.attempts = 1
        self.restore = _RESTORE
        if cursor.connection.server_version >= 140000:  # so that a statement ends with the process that sent it
            self.restore += "; SET client_connection_check_interval = '1s'"
        self._execute(self.restore)

    def resume(self, row: Row, progress: Progress) -> None:
        """Go on from an unfinished row. Raises SlipwayError when that is not possible."""
        if not progress.fits(self.script):
            raise SlipwayError(
                f"The migration {self.migration.name!r} is half applied and the first {progress.done} statements of "
                f"{self.script.path}, which are, were edited since: restore them; the rest may be changed."
            )
        self.row_id, self.progress = row.id, progress

    def run(self) -> Applied:
        """Apply the migration from where it stands. Raises StatementError with the transaction undone."""
        began, at_start = time.monotonic(), self.progress.done
        todo = steps(self.script.statements, at_start) or [Step(at_start, at_start)]
        while todo:
            step, *rest = todo
            act = self._outside if step.alone else self._transaction
            try:
                self._patiently(act, step, not rest)
                todo = rest
            except StatementError as failed:
                divided = self._divide(step, failed)
                if not divided:
                    raise
                todo = divided + rest
        blockers = [each.result() for each in self.watch.blockers] if self.attempts > 1 else []
        statements = len(self.script.statements) - at_start
        return Applied(self.migration.name, time.monotonic() - began, statements, self.attempts, blockers)

    def failure(self, failed: StatementError) -> str:
        """Record the failure and return its message. A migration of which nothing is kept counts as rolled back."""
        lost = bool(self.cursor.connection.closed)
        message = self._explain(failed, lost)
        if lost:
            return message
        undone = {"rolled_back_at": NOW, "logs": message}
        if not self.row_id:
            self._execute(*self.table.insert({**self._row(), "started_at": BEGUN, **undone}))
        elif self.progress.done or self.progress.running:
            self._note(self.progress.because(message))
        else:
            self._execute(*self.table.update(self.row_id, undone))
        return message

    def _patiently(self, act: Callable[[Step, bool], None], step: Step, final: bool) -> None:
        """Do a step, repeatedly while others hold its locks: each attempt holds up others for lock_timeout only."""
        deadline = time.monotonic() + self.patience.lock_retry
        while True:
            try:
                return act(step, final)
            except StatementError as failed:
                if failed.error.pgcode not in _BUSY or time.monotonic() >= deadline:
                    raise
            self.attempts += 1
            time.sleep(random.uniform(0.2, 1.0))

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
        self._send(f"{self.restore}; {sql}; COMMIT; {_DISCARD}", None, values)
        self.progress = Progress.of(self.script, step.last)

    def _outside(self, step: Step, final: bool) -> None:
        """Run a statement that PostgreSQL refuses in a transaction, with a note of it before and after.

        While it runs, Prisma's lock is given up: Prisma waits for it in a way that would stop a concurrent index build
        for good. The unfinished row, written before, keeps Prisma from acting; our own lock, other runs of ours.
        """
        number = step.first
        statement = self.script.statements[number]
        interrupted = self.progress.running
        if interrupted and leftovers.unrepeatable(statement):
            raise SlipwayError(self._stuck(number))
        if not interrupted:
            self._note(Progress.of(self.script, number, True, leftovers.known(self.cursor, statement)))
        if not leftovers.clear(self.cursor, statement, self.progress.known):
            release(self.cursor, PRISMA_KEY)
            try:
                self._send_outside(number, interrupted)
            finally:
                if not self.cursor.connection.closed:
                    acquire(self.cursor, PRISMA_KEY, self.patience.lock_wait)
        self._execute(*self._record(step.last, final))
        self.progress = Progress.of(self.script, step.last)

    def _send_outside(self, number: int, interrupted: bool) -> None:
        statement = self.script.statements[number]
        if leftovers.harmless_waiter(statement):
            self._execute(f"SET lock_timeout = {int(self.patience.lock_retry * 1000)}")
        try:
            self._send(self.script.sql(statement), number)
        except StatementError as failed:
            if self.cursor.connection.closed or leftovers.unrepeatable(statement):
                raise
            if interrupted and leftovers.says_done(statement, failed.error.pgcode):
                return
            finalize = leftovers.completion(statement, failed.error.pgcode)
            if finalize:
                self._send(finalize, number)
                return
            leftovers.clear(self.cursor, statement, self.progress.known)
            self._note(Progress.of(self.script, number))
            raise
        self._execute(self.restore)

    def _send(self, sql: str, number: int | None, values: Mapping[str, Any] | None = None) -> None:
        """Run SQL as statement ``number`` of the script; at an error nothing of the transaction or session is kept."""
        try:
            self.cursor.execute(sql, values)
        except psycopg2.Error as error:
            if not self.cursor.connection.closed:
                self.cursor.execute("ROLLBACK")
                self.cursor.execute(f"{self.restore}; {_DISCARD}")
            raise StatementError(number, error) from error

    def _execute(self, sql: str, values: Mapping[str, Any] | None = None) -> None:
        self.cursor.execute(sql, values)

    def _row(self) -> dict[str, object]:
        checksum = self.migration.checksums[0]
        return {"id": str(uuid.uuid4()), "checksum": checksum, "migration_name": self.migration.name}

    def _note(self, progress: Progress) -> None:
        """Write unfinished progress to the history at once."""
        self.progress = progress
        self._execute(*self._save({"logs": progress.dump(len(self.script.statements))}))

    def _record(self, done: int, final: bool) -> tuple[str, Mapping[str, Any]]:
        """The statement that writes to the history that ``done`` statements are finished."""
        if final:
            return self._save({"finished_at": NOW, "applied_steps_count": 1, "logs": None})
        return self._save({"logs": Progress.of(self.script, done).dump(len(self.script.statements))})

    def _save(self, state: Mapping[str, object]) -> tuple[str, Mapping[str, Any]]:
        if self.row_id:
            return self.table.update(self.row_id, {**state, "checksum": self.migration.checksums[0]})
        row = {**self._row(), "started_at": BEGUN, **state}
        if "finished_at" not in state:
            self.row_id = str(row["id"])
        return self.table.insert(row)

    def _divide(self, step: Step, failed: StatementError) -> list[Step]:
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

    def _stuck(self, number: int) -> str:
        line, column = locate(self.script.text, self.script.statements[number].start)
        return (
            f"The migration {self.migration.name!r} was interrupted in its statement at "
            f"{self.script.path}:{line}:{column}, which commits by itself and may be done in part, so that it can't be "
            "repeated safely: look at the database, then use slipway.deploy.migration_resolve: state applied when all "
            "of the file is done, rolled_back when you have undone it."
        )

    def _explain(self, failed: StatementError, lost: bool) -> str:
        """The failure for a person: where it is, what PostgreSQL said, what is kept, what to do."""
        script, error = self.script, failed.error
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
        facts = [("DETAIL", said.message_detail), ("HINT", said.message_hint), ("CONTEXT", said.context)]
        if error.pgcode in _BUSY:
            facts += [("BLOCKED BY", str(blocker)) for blocker in self.watch.blockers]
            facts += [("ATTEMPTS", f"{self.attempts}, within {self.patience.lock_retry:g} s")]
        more = "".join(f"\n{label}: {text}" for label, text in facts if text)
        done = self.progress.done
        if lost:
            advice = "The connection is lost: run again, the history tells how far this migration came."
        elif error.pgcode in _BUSY:
            advice = "Run again when these sessions have ended, or end them with pg_terminate_backend."
        elif done:
            advice = f"Its first {done} statements are kept: correct the rest of the file, or the data, and run again."
        else:
            advice = "Nothing of this migration was kept: correct the file, or the data, and run again."
        return f"Migration {self.migration.name!r} failed at {place}: {message}{code}{shown}{more}\n{advice}"
