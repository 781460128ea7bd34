# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies one migration together with its row of the history, or goes on with one that was left half-way."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import leftovers
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import (
    NOW,
    STARTED,
    Expression,
    HistoryTable,
    Row,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import (
    END_THEM,
    PRISMA_KEY,
    Watch,
    acquire,
    release,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import (
    Migration,
    Script,
    Step,
    steps,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.progress import Progress
from ansible_collections.slipway.deploy.plugins.module_utils._migration.session import (
    REHEARSED,
    Session,
    StatementError,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import one_row

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

AT_ONCE = 100  # migrations that share a round trip, at most
# SQLSTATEs: the server's word that a statement can't share a transaction with others, or (a value just added to an
# enum) with those before it.
_NOT_IN_TRANSACTION = {"25001", "2D000"}
_NOT_WITH_EARLIER = {"55P04"}
WANTS_ITS_OWN = _NOT_IN_TRANSACTION | _NOT_WITH_EARLIER


@dataclass(frozen=True)
class Patience:
    """Seconds to wait for other runs, and seconds to go on trying for locks on tables."""

    lock_wait: float
    lock_retry: float


@dataclass(frozen=True)
class Applied:
    """A migration that this run has applied; ``attempts`` above 1 were for locks, held by ``blockers``.

    ``rolled_back``: in a rehearsal, and rolled back at its end.
    """

    name: str
    seconds: float
    statements: int
    attempts: int = 1
    blockers: list[dict[str, Any]] = field(default_factory=list)
    rolled_back: bool = False


def advance(session: Session, works: Sequence[Application]) -> list[Applied]:
    """Apply the first of some migrations, with those after it that can share its round trip unless each is observed.

    Raises StatementError about the first.
    """
    quick = list(itertools.takewhile(lambda work: work.leaves_session_clean, works))
    if len(quick) > 1 and not session.observer.looks and not _event_triggers(session.cursor):
        began = time.monotonic()
        for number, work in enumerate(quick):
            # now() is the same in all transactions of one round trip, and the history is read in the order of starts.
            work.started = Expression(f"now() + interval '{number} microseconds'")
        if session.together([(work.script, *work.history_write(1, final=True)) for work in quick]):
            done = quick
        else:
            applied = quick[0].table.read(session.cursor).applied
            done = [work for work in quick if work.migration.name in applied]
        if done:
            mean = (time.monotonic() - began) / len(done)
            return [Applied(work.migration.name, mean, statements=1) for work in done]
    return [works[0].run()]


def _event_triggers(cursor: Cursor) -> bool:
    """Whether code of the user's may run at any statement."""
    cursor.execute("SELECT EXISTS (SELECT FROM pg_event_trigger WHERE evtenabled <> 'D')")
    return bool(one_row(cursor)[0])


def _remedy(failed: StatementError) -> str:
    """What to do where an extension can't be created, which is neither the file's fault nor the data's."""
    sql = failed.script.sql(failed.script.statements[failed.number]) if failed.number is not None else ""
    if not re.search(r"\bcreate\s+extension\b", sql, re.IGNORECASE):
        return ""
    if failed.code == "42501":
        return "name the extension in app_extensions, so that the administrator creates it before migrations run again."
    if failed.code in ("0A000", "58P01"):
        return (
            "the server does not have the extension: install it there (Debian: its package for this version of "
            "PostgreSQL), or take an image that has it, and run again."
        )
    return ""


class Application:
    """One migration on its way into the database, over a session that holds Prisma's lock."""

    def __init__(
        self,
        session: Session,
        table: HistoryTable,
        migration: Migration,
        scripts: Mapping[str, Script],
        watch: Watch,
        patience: Patience,
    ) -> None:
        self.session = session
        self.table = table
        self.migration = migration
        self.script = scripts[migration.name]
        self.verification = scripts.get(f"{migration.name}/verify")
        self.watch = watch
        self.patience = patience
        self.progress = Progress.of(self.script, 0)
        self.row_id = str(uuid.uuid4())
        self.started = STARTED
        self.written = False
        self.attempts = 1

    def resume(self, row: Row, progress: Progress) -> None:
        """Resume from an unfinished row. Raises SlipwayError when that is not possible."""
        obstacle = leftovers.obstacle(self.migration.name, self.script, progress)
        if obstacle:
            raise SlipwayError(obstacle)
        self.row_id, self.written, self.progress = row.id, True, progress

    def run(self) -> Applied:
        """Apply the migration from where it stands. Raises StatementError with the transaction rolled back."""
        began, at_start, total = time.monotonic(), self.progress.done, len(self.script.statements)
        todo = steps(self.script.statements, at_start)
        self.watch.forget()
        finished = False
        while not finished:
            if not todo or todo[-1].alone:
                todo.append(Step(total, total))  # the row is finished in a transaction
            step, *rest = todo
            try:
                self._with_retries(step, not rest)
                todo, finished = rest, not rest
            except StatementError as failed:
                divided = self._divide(step, failed)
                if not divided:
                    raise
                todo = divided + rest
        blockers = [each.result() for each in self.watch.blockers] if self.attempts > 1 else []
        return Applied(self.migration.name, time.monotonic() - began, total - at_start, self.attempts, blockers)

    @property
    def leaves_session_clean(self) -> bool:
        """Whether all of it is one statement that does nothing to the session."""
        only = [part.about for part in self.script.statements] == [("leaves session clean",)]
        return only and not self.verification and not self.written

    def failure(self, failed: StatementError) -> str:
        """Record the failure and return its message. A migration of which nothing is kept counts as rolled back."""
        message = self._explain(failed, self.session.row_values)
        if failed.lost:
            return message
        try:
            if self.progress.done or self.progress.running:
                self._note(replace(self.progress, error=message))
            else:
                self._write({"rolled_back_at": NOW, "logs": self._explain(failed, rows=True)})
        except psycopg2.Error as error:
            return f"{message}\nThis is not in the history, which can't be written to: {' '.join(str(error).split())}"
        return message

    def _with_retries(self, step: Step, final: bool) -> None:
        """Do a step, repeatedly while others hold its locks: each attempt holds up others for lock_timeout only."""
        deadline = time.monotonic() + self.patience.lock_retry
        while True:
            try:
                return self._without_transaction(step) if step.alone else self._transaction(step, final)
            except StatementError as failed:
                if not failed.busy or time.monotonic() >= deadline or self._half_applied_for_good:
                    raise
            self.attempts += 1
            time.sleep(random.uniform(0.5, 2.0))

    def _transaction(self, step: Step, final: bool) -> None:
        """Run a step and write how far it leads in one transaction."""
        verification = self.verification if final else None
        parts = self.script.statements[step.first : step.last]
        shared = len(parts) == 1 and not parts[0].transaction and not verification
        if shared and not self.session.observer.looks:
            self.session.transact(self.script, step.first, *self.history_write(step.last, final), last=final)
        else:
            self.session.begin(self.script, step.first, step.last)
            if verification:
                self.session.verify(verification)
            self.session.commit(self.script, *self.history_write(step.last, final), last=final)
        self.written = True
        self.progress = Progress.of(self.script, step.last)

    def _without_transaction(self, step: Step) -> None:
        """Run a statement that PostgreSQL refuses in a transaction, with a note of it before and after.

        While it runs, Prisma's lock is given up: Prisma waits for it in a way that would stop a concurrent index build
        for good. The unfinished row, written before, keeps Prisma from acting; our own lock, other runs of ours.
        """
        number, cursor = step.first, self.session.cursor
        statement = self.script.statements[number]
        repeated = self.progress.running
        if not repeated:
            self._note(Progress.of(self.script, number, True, leftovers.known(cursor, statement)))
        if leftovers.unrepeatable(statement):
            self.session.send_alone(self.script, number)
        else:
            release(cursor, PRISMA_KEY)
            try:
                if not self._clear(number):
                    self._send_without_transaction(number, repeated)
            except StatementError:
                if not self.session.lost:
                    with contextlib.suppress(SlipwayError):  # what failed is worth more than who has the lock now
                        acquire(cursor, PRISMA_KEY, self.patience.lock_wait, self.watch.watcher)
                raise
        self.session.restore()
        self._note(Progress.of(self.script, step.last))
        acquire(cursor, PRISMA_KEY, self.patience.lock_wait, self.watch.watcher)

    def _send_without_transaction(self, number: int, repeated: bool) -> None:
        statement = self.script.statements[number]
        try:
            self.session.send_alone(self.script, number)
        except StatementError as failed:
            if failed.lost:
                raise
            if repeated and leftovers.says_done(statement, failed.code):
                return
            finalize = leftovers.completion(statement, failed.code)
            if finalize:
                self.session.send(self.script, number, finalize)
                return
            with contextlib.suppress(StatementError):  # what failed is worth more, and the next attempt clears up
                self._clear(number)
                self._note(Progress.of(self.script, number))
            raise

    def _clear(self, number: int) -> bool:
        """Remove what an attempt has left, waiting for locks as long as that may take; tell whether it had finished."""
        statement = self.script.statements[number]
        with self.session.failing(self.script, number):
            if leftovers.harmless_waiter(statement):
                self.session.execute(f"SET lock_timeout = {int(self.patience.lock_retry * 1000)}")
            return leftovers.clear(self.session.cursor, statement, self.progress.known)

    @property
    def _half_applied_for_good(self) -> bool:
        """Whether a statement is half-applied that can't be repeated, because it commits by itself."""
        return self.progress.running and leftovers.unrepeatable(self.script.statements[self.progress.done])

    def _note(self, progress: Progress) -> None:
        """Write unfinished progress to the history at once."""
        self.progress = progress
        self._write({"logs": progress.dump(len(self.script.statements))})

    def _write(self, state: Mapping[str, object]) -> None:
        self.session.execute(*self._save(state))
        self.written = True

    def history_write(self, done: int, final: bool) -> tuple[str, Mapping[str, Any]]:
        """The statement that writes to the history that ``done`` statements are finished."""
        if final:
            return self._save({"finished_at": NOW, "applied_steps_count": 1, "logs": None})
        return self._save({"logs": Progress.of(self.script, done).dump(len(self.script.statements))})

    def _save(self, state: Mapping[str, object]) -> tuple[str, Mapping[str, Any]]:
        """The statement that writes a state to this migration's row, a new one until it is written."""
        checksum = self.migration.checksums[0]
        if self.written:
            return self.table.update(self.row_id, {**state, "checksum": checksum})
        row = {
            "id": self.row_id,
            "checksum": checksum,
            "migration_name": self.migration.name,
            "started_at": self.started,
        }
        return self.table.insert({**row, **state})

    def _divide(self, step: Step, failed: StatementError) -> list[Step]:
        """The same step in smaller ones, when the server says that a statement can't run in this transaction."""
        number = failed.number
        if number is None or step.alone or failed.script is not self.script or self.session.rolling_back:
            return []
        if self.script.statements[step.first].transaction == "begin":
            return []
        before = [Step(step.first, number)] if number > step.first else []
        if failed.code in _NOT_IN_TRANSACTION:
            after = [Step(number + 1, step.last)] if number + 1 < step.last else []
            return [*before, Step(number, number + 1, alone=True), *after]
        if failed.code in _NOT_WITH_EARLIER and before:
            return [*before, Step(number, step.last)]
        return []

    def _explain(self, failed: StatementError, rows: bool) -> str:
        more: list[tuple[str, str]] = []
        if failed.busy:
            more = [*self.watch.named, ("ATTEMPTS", f"{self.attempts}, within {self.patience.lock_retry:g} s")]
        if self.session.rehearsal:
            remedy = _remedy(failed) or "correct the file, or the data, and run again."
            advice = REHEARSED + ("Run again." if failed.lost or failed.busy else remedy[:1].upper() + remedy[1:])
        elif failed.lost:
            advice = "The connection is lost: run again, the history tells how far this migration came."
        elif self._half_applied_for_good:
            advice = f"It commits by itself, so that it may be half-applied: {leftovers.RESOLVE}"
        elif failed.busy:
            advice = END_THEM[:1].upper() + END_THEM[1:]
        elif self.progress.done:
            done = self.progress.done
            kept = "Its first statement is" if done == 1 else f"Its first {done} statements are"
            advice = f"{kept} kept: correct the rest of the file, or the data, and run again."
        else:
            remedy = _remedy(failed) or "correct the file, or the data, and run again."
            advice = f"Nothing of this migration was kept: {remedy}"
        return failed.explain(f"Migration {self.migration.name!r}", advice, more, rows)
