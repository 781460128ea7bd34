# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes applied migrations by their ``down.sql``, newest first, and marks their rows as rolled back."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import STARTED, HistoryTable, Row
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import END_THEM, Watch, held
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import (
    ApplyContext,
    Files,
    Outcome,
    no_context,
    telling,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration.plan import Plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration.rehearsal import Extent, extent, not_rehearsed
from ansible_collections.slipway.deploy.plugins.module_utils._migration.session import (
    REHEARSED,
    Session,
    StatementError,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, working
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist


def chosen(plan: Plan, applied: Sequence[str], payload: Payload, names: Sequence[str], last: int) -> list[str]:
    """The migrations to undo, the last applied first: those named that are ``applied``, or the ``last`` ones.

    A name that is not applied has nothing to undo. Raises SlipwayError where there is no such migration, no way back,
    or not as many.
    """
    known = {file.name: file for file in payload.migrations}
    for name in names:
        if name not in known and name not in applied:
            raise SlipwayError(f"There is no migration {name!r} to undo: check its name.")
        if name in plan.half_applied:
            raise SlipwayError(f"The migration {name!r} is half-applied: apply the rest of it before undoing it.")
    if not names and not 0 < last <= len(applied):
        raise SlipwayError(f"The last {last} migrations can't be undone, {len(applied)} are applied: correct last.")
    wanted = [name for name in reversed(applied) if name in names] if names else list(reversed(applied))[:last]
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
    return wanted


def undo(
    server: Server,
    files: Files,
    names: Sequence[str],
    last: int,
    lock_wait: float,
    check: bool,
    context: ApplyContext = no_context,
    rehearsal: bool = False,
    row_values: bool = False,
    watcher: Server | None = None,
    **settings: str,
) -> tuple[list[str], Outcome]:
    """Undo migrations, each in one transaction with its row, and return which. With ``check`` only say so.

    In a ``rehearsal``, the first way back that changes more than its database, and all after it, run in a transaction
    that is rolled back. It stops, with a warning, before one that lasts. ``watcher`` may see the sessions
    of all roles, to name those that are in the way.
    """
    undone: list[str] = []
    actions: list[str] = []
    warnings: list[str] = []
    with working(server, files.schema, **settings) as cursor:
        table = HistoryTable(files.schema)

        def wanted() -> tuple[Plan, list[str]]:
            plan = files.compare(cursor)[0]
            return plan, chosen(plan, table.read(cursor).applied, files.payload, names, last)

        plan, found = wanted()
        if check or not found:
            return found, Outcome(plan.result(), [f"Would undo {name}." for name in found], [])
        before = table.read(cursor).applied
        pid = cursor.connection.get_backend_pid()
        with held(cursor, lock_wait, watcher), telling(cursor, files, before), context(cursor, files.schema):
            with Watch(server, pid, watcher) as watch, Session(cursor, watch, rehearsal, row_values) as session:
                names = wanted()[1]
                scripts = [files.payload.scripts[f"{name}/down"] for name in names]
                course = extent(scripts) if rehearsal else Extent(len(names))

                def undo_one(name: str, again: str = "") -> None:
                    began = time.monotonic()
                    try:
                        _undo(session, watch, table, files.payload, name, _live(table.read(cursor).rows or (), name))
                    except SlipwayError as error:
                        error.details.update(changed=bool(undone), actions=actions)
                        raise
                    undone.append(name)
                    actions.append(f"Undid {name}{again} in {time.monotonic() - began:.3f} s.")

                for name in names[: course.kept]:
                    undo_one(name)
                if course.rolled_back:
                    with session.rolled_back():
                        for name in names[course.kept : course.kept + course.rolled_back]:
                            undo_one(name, f", and took that back since the server is to stay as it is ({course.why}),")
                if len(undone) < len(names):
                    warnings.append(not_rehearsed(f"The way back from {names[len(undone)]!r}", course.stop))
            plan = files.compare(cursor)[0]
    return undone, Outcome(plan.result(), actions, warnings)


def _undo(
    session: Session, watch: Watch, table: HistoryTable, payload: Payload, name: str, rows: Sequence[Row]
) -> None:
    insist()
    watch.forget()
    script = payload.scripts[f"{name}/down"]
    try:
        session.begin(script, 0, len(script.statements))
        first, *others = (table.update(row.id, {"rolled_back_at": STARTED, "finished_at": None}) for row in rows)
        for other in others:
            session.execute(*other)
        session.commit(script, *first)
    except StatementError as failed:
        if session.rehearsal:
            advice = f"{REHEARSED}Correct the file, or the data, and run again."
        elif failed.lost:
            advice = "The connection is lost: run again, the history tells whether it was undone."
        elif failed.busy:
            advice = f"Nothing was undone of {name}: {END_THEM}"
        else:
            advice = f"Nothing was undone of {name}: correct the file, or the data, and run again."
        more = watch.named if failed.busy else []
        raise SlipwayError(failed.explain(f"Undoing {name!r}", advice, more, session.row_values)) from failed


def _live(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row.name == name and row.rolled_back_at is None]
