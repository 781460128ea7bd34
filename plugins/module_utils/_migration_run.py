# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies the pending migrations of a directory, or tells what they are."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._connection import Server, connection
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration_apply import (
    Application,
    Applied,
    Patience,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_decisions import record
from ansible_collections.slipway.deploy.plugins.module_utils._migration_destructive import real
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import HistoryTable, quote
from ansible_collections.slipway.deploy.plugins.module_utils._migration_lint import matters
from ansible_collections.slipway.deploy.plugins.module_utils._migration_locks import PRISMA_KEY, Watch, held, holder
from ansible_collections.slipway.deploy.plugins.module_utils._migration_plan import Plan, make_plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration_policy import Policy, Verdict
from ansible_collections.slipway.deploy.plugins.module_utils._migration_session import Session, StatementError

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor


@dataclass(frozen=True)
class Files:
    """The migrations of a directory, for the history in one schema, under one policy."""

    directory: str
    schema: str
    payload: Payload
    policy: Policy

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Files:
        """Take them out of a module's parameters."""
        return cls(params["path"], params["schema"], Payload.load(params["_payload"]), Policy.from_params(params))

    def compare(self, cursor: Cursor) -> tuple[Plan, Verdict]:
        """Read the database, plan, and judge the plan."""
        plan = make_plan(self.directory, self.payload, HistoryTable(self.schema).read(cursor))
        plan = replace(
            plan,
            running=holder(cursor, PRISMA_KEY) if plan.failed else None,
            destructive=tuple((name, found) for name, found in plan.destructive if real(cursor, found)),
            lint=tuple((name, found) for name, found in plan.lint if matters(cursor, found)),
        )
        return plan, self.policy.judge(plan.findings)


@dataclass(frozen=True)
class Outcome:
    """The state of the database as a module returns it, what was done and what to warn of, in sentences."""

    migrations: dict[str, Any]
    actions: list[str]
    warnings: list[str]


def survey(server: Server, files: Files) -> tuple[Plan, Verdict]:
    """Compare the database with the files, in a session that can't write."""
    with working(server, files.schema, default_transaction_read_only="on") as cursor:
        return files.compare(cursor)


def preview(server: Server, files: Files) -> Outcome:
    """What ``migrate`` would do. Raises SlipwayError where it would refuse."""
    plan, verdict = survey(server, files)
    _check(plan, verdict)
    actions = [f"Would apply {each.name}." for each in plan.pending]
    return Outcome(plan.result(), actions, [each.text for each in verdict.warned])


def migrate(server: Server, files: Files, patience: Patience, **settings: str) -> Outcome:
    """Apply what is pending; ``settings`` are the server's, such as ``lock_timeout``.

    Nothing is locked or written when nothing is pending. Raises SlipwayError when the state forbids to go on, another
    run holds the lock for too long, or a migration fails; the state then is in the error's details.
    """
    # Commits need not wait for the disk one by one: nothing is said to be applied before the last has reached it.
    with working(server, files.schema, synchronous_commit="off", **settings) as cursor:
        plan, verdict = files.compare(cursor)
        applied: list[Applied] = []
        if plan.pending or verdict.denied:
            with held(cursor, patience.lock_wait):
                plan, verdict = files.compare(cursor)
                _check(plan, verdict)
                applied = _apply(server, cursor, files, plan, verdict, patience) if plan.pending else []
    actions = [f"Applied {each.name} in {each.seconds:.3f} s." for each in applied]
    return Outcome(report(plan, applied), actions, [each.text for each in verdict.warned])


def _check(plan: Plan, verdict: Verdict) -> None:
    if verdict.denied:
        raise SlipwayError("\n".join(each.text for each in verdict.denied), migrations=plan.result())


def check_version(number: int) -> None:
    """Raise SlipwayError for a server, by libpq's number of its version, that lacks what the engine relies on."""
    if number < 120000:
        raise SlipwayError(
            f"The server is PostgreSQL {number // 10000}: Slipway needs 12 or newer, upgrade the server."
        )


@contextlib.contextmanager
def working(server: Server, schema: str, **settings: str) -> Iterator[Cursor]:
    """An autocommit connection that works in a schema, under settings of the server, for a ``with`` block.

    What PostgreSQL says against our own statements becomes a SlipwayError.
    """
    settings = {"search_path": quote(schema), "client_encoding": "UTF8", **settings}
    # At the start of a connection, blanks and backslashes need a backslash.
    escaped = {name: re.sub(r"([\\\s])", r"\\\1", value) for name, value in settings.items() if value}
    try:
        with connection(server, "slipway migrations", **escaped) as opened, opened.cursor() as cursor:
            opened.autocommit = True
            check_version(opened.server_version)
            yield cursor
    except psycopg2.Error as error:
        said = " ".join(str(error).split())
        raise SlipwayError(
            f"PostgreSQL ended the run on database {server.database!r}: {said}; what was applied is in the history: "
            "correct this and run again."
        ) from error


def report(plan: Plan, applied: list[Applied]) -> dict[str, Any]:
    """The plan's result after some of its pending migrations were applied."""
    now = [each.name for each in applied]
    pending = [each.name for each in plan.pending if each.name not in now]
    return {
        **plan.result(),
        "status": "up_to_date" if plan.status == "pending" and not pending else plan.status,
        "applied": [*plan.applied, *now],
        "pending": pending,
        "applied_now": [vars(each) for each in applied],
    }


def _apply(
    server: Server, cursor: Cursor, files: Files, plan: Plan, verdict: Verdict, patience: Patience
) -> list[Applied]:
    applied: list[Applied] = []
    table = HistoryTable(files.schema)
    with Watch(server, cursor.connection.get_backend_pid()) as watch:
        session = Session(cursor)
        _prepare(cursor, table, plan.managed)
        for waiver in verdict.waived:
            record(cursor, waiver.migration, waiver.decision)
        try:
            for migration in plan.pending:
                work = Application(session, table, migration, files.payload.scripts, watch, patience)
                if migration.name in plan.begun:
                    work.resume(*plan.begun[migration.name])
                try:
                    applied.append(work.run())
                except StatementError as error:
                    raise SlipwayError(work.failure(error)) from error
        except SlipwayError as error:
            error.details["migrations"] = report(plan, applied)
            raise
        finally:
            session.flush()
    return applied


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
