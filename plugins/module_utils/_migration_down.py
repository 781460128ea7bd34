# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes applied migrations by their ``down.sql``, newest first, and marks their rows as rolled back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ansible_collections.slipway.deploy.plugins.module_utils._connection import Server
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration import Payload, sort_key
from ansible_collections.slipway.deploy.plugins.module_utils._migration_history import BEGUN, HistoryTable, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration_locks import held
from ansible_collections.slipway.deploy.plugins.module_utils._migration_plan import Plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration_run import Files, Outcome, working
from ansible_collections.slipway.deploy.plugins.module_utils._migration_session import Session, StatementError


def chosen(plan: Plan, payload: Payload, names: Sequence[str], last: int) -> list[str]:
    """The migrations to undo, newest first: those named that are applied, or the last ones. Raises SlipwayError.

    A name that is not applied has nothing to undo, unless there is no such migration at all.
    """
    known = {file.name: file for file in payload.migrations}
    for name in names:
        if name not in known and name not in plan.applied:
            raise SlipwayError(f"There is no migration {name!r} to undo: check its name.")
    wanted = (
        [name for name in plan.applied if name in names] if names else list(plan.applied[len(plan.applied) - last :])
    )
    edited = {row.name for row in plan.edited}
    for name in wanted:
        if name in edited:
            raise SlipwayError(f"The migration {name!r} was edited after it was applied: restore it before undoing it.")
        if f"{name}/down" not in payload.scripts:
            problem = known[name].problem if name in known else ""
            raise SlipwayError(
                problem
                or f"The migration {name!r} has no down.sql in its directory: write one, or a new migration instead."
            )
    return sorted(wanted, key=sort_key, reverse=True)


def undo(
    server: Server, files: Files, names: Sequence[str], last: int, lock_wait: float, check: bool, **settings: str
) -> Outcome:
    """Undo migrations, each in one transaction with its row. With ``check`` only say which."""
    done: list[str] = []
    with working(server, files.schema, **settings) as cursor:
        table = HistoryTable(files.schema)
        plan = files.compare(cursor)[0]
        if check or not chosen(plan, files.payload, names, last):
            wanted = chosen(plan, files.payload, names, last)
            return Outcome(plan.result(), [f"Would undo {name}." for name in wanted], [])
        with held(cursor, lock_wait):
            plan = files.compare(cursor)[0]
            session = Session(cursor)
            for name in chosen(plan, files.payload, names, last):
                began = time.monotonic()
                _undo(session, table, files.payload, name, _live(table.read(cursor).rows or (), name))
                done.append(f"Undid {name} in {time.monotonic() - began:.3f} s.")
            plan = files.compare(cursor)[0]
    return Outcome(plan.result(), done, [])


def _undo(session: Session, table: HistoryTable, payload: Payload, name: str, rows: Sequence[Row]) -> None:
    script = payload.scripts[f"{name}/down"]
    try:
        session.begin(script, 0, len(script.statements))
        first, *others = (table.update(row.id, {"rolled_back_at": BEGUN}) for row in rows)
        for other in others:
            session.execute(*other)
        session.commit(script, *first)
    except StatementError as failed:
        advice = f"Nothing was undone of {name}: correct the file, or the data, and run again."
        raise SlipwayError(failed.explain(f"Undoing {name!r}", advice)) from failed


def _live(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row.name == name and row.rolled_back_at is None]
