# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies the pending migrations of a directory, or tells what they are."""

from __future__ import annotations

import contextlib
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._connection import Server, connection
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration_apply import (
    Application,
    Applied,
    Patience,
    StatementError,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import HistoryTable, quote
from ansible_collections.slipway.deploy.plugins.module_utils._migration_locks import (
    PRISMA_KEY,
    SLIPWAY_KEY,
    Watch,
    acquire,
    release,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration_plan import Plan, make_plan

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection  # noqa: N812
    from psycopg2.extensions import cursor as Cursor  # noqa: N812


def survey(server: Server, schema: str, directory: str, payload: Payload) -> Plan:
    """Compare the database with the files, in a session that can't write."""
    reader = connection(server, "slipway migrations", default_transaction_read_only="on")
    with reader as opened, opened.cursor() as cursor:
        return make_plan(directory, payload.migrations, HistoryTable(schema).read(cursor))


def migrate(
    server: Server, schema: str, directory: str, payload: Payload, patience: Patience, **settings: str
) -> tuple[dict[str, Any], list[str]]:
    """Apply what is pending and return the state with it applied, and what was done in sentences.

    ``settings`` are the server's, such as ``lock_timeout``. Nothing is locked or written when nothing is pending.
    Raises SlipwayError when the state forbids to go on, another run holds the lock for too long, or a migration fails;
    the state then is in the error's details.
    """
    settings = {"search_path": quote(schema), "client_encoding": "UTF8", **settings}
    escaped = {name: re.sub(r"([\\\s])", r"\\\1", value) for name, value in settings.items() if value}
    with connection(server, "slipway migrations", **escaped) as opened, opened.cursor() as cursor:
        opened.autocommit = True
        table = HistoryTable(schema)
        plan = make_plan(directory, payload.migrations, table.read(cursor))
        if plan.status == "up_to_date":
            return plan.result(), []
        acquire(cursor, SLIPWAY_KEY, patience.lock_wait)
        acquire(cursor, PRISMA_KEY, patience.lock_wait)
        try:
            plan = make_plan(directory, payload.migrations, table.read(cursor))
            plan.check()
            applied = _apply(server, opened, table, plan, payload, patience) if plan.pending else []
        finally:
            release(cursor, PRISMA_KEY)
            release(cursor, SLIPWAY_KEY)
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


def _apply(
    server: Server, opened: Connection, table: HistoryTable, plan: Plan, payload: Payload, patience: Patience
) -> list[Applied]:
    applied: list[Applied] = []
    with opened.cursor() as cursor, Watch(server, opened.get_backend_pid()) as watch:
        _prepare(cursor, table, plan.managed)
        for migration in plan.pending:
            work = Application(cursor, table, migration, payload.scripts[migration.name], watch, patience)
            if migration.name in plan.begun:
                work.resume(*plan.begun[migration.name])
            try:
                applied.append(work.run())
            except StatementError as error:
                raise SlipwayError(work.failure(error), migrations=report(plan, applied)) from error
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
