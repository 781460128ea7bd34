# SPDX-License-Identifier: GPL-3.0-or-later
"""Derives the SQL that turns a schema into the one that is wanted, and proves it: in databases made for that alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._drift.comparison import by_replay
from ansible_collections.slipway.deploy.plugins.module_utils._drift.replay import (
    beside,
    for_the_database,
    repeatable,
    replay,
)
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import Destruction, destroys_data
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Script, Statement, excerpt, locate
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import Server, one_row, working
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.names import REPLAY, WANTED
from ansible_collections.slipway.deploy.plugins.module_utils._text import listed
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.difference import derive
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.remarks import losses, remarks
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.schema import Schema, read, read_within
from ansible_collections.slipway.deploy.plugins.module_utils._wanted.sources import Source

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

WANTED_NAME = "wanted"  # of the script in its payload
# SQLSTATEs: a table, a function, a type or a schema that a later statement may make.
_STILL_MISSING = ("42P01", "42883", "42704", "3F000")
_ROUNDS = 4  # of deriving what the statements before have left


@dataclass(frozen=True)
class Change:
    """The statements that make the wanted schema, and those that take it back, where they do.

    ``left`` is what can't be derived, ``remarks`` what can't be known, ``losses`` what loses data; sentences.
    """

    up: tuple[str, ...] = ()
    down: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    losses: tuple[Destruction, ...] = ()
    no_down: str = ""
    there: bool = False  # the database is so already, though its migrations don't make it so


def derive_change(
    server: Server, creator: Server, files: Files | None, schema: str, wanted: Script, source: Source
) -> Change:
    """From what all migrations make, or without them from what the database is, to what the script makes.

    Two databases are made by ``creator`` and dropped again. Raises SlipwayError where a migration or the wanted schema
    can't be applied there, or PostgreSQL refuses what was derived.
    """
    with working(server, schema) as cursor, beside(cursor, server, creator, schema, (REPLAY, WANTED)) as (first, other):
        now = read(cursor)
        load(other, schema, wanted)
        with working(other, schema) as reading:
            wish = read(reading)
        if files and files.payload.migrations:
            replay(first, repeatable(files, files.payload.migrations), _never)
        with working(first, schema) as there:
            if files is None:
                _bring(there, now)
                return prove(there, source, wish, now)
            change = prove(there, source, wish)
            differing = [key for key in read(there).differs(now) if key[0] != "rights on"]
            return replace(change, there=bool(change.up) and not differing)


def changes(
    server: Server, creator: Server, files: Files, wanted: Script, source: Source, from_migrations: bool
) -> dict[str, Any]:
    """The change as a module returns it; ``losses`` are those that this database would have.

    From the migrations: raises SlipwayError where the database is neither what those make that are applied, nor what is
    wanted already.
    """
    drift = drifted(server, creator, files) if from_migrations else ""
    try:
        change = derive_change(server, creator, files if from_migrations else None, files.schema, wanted, source)
    except SlipwayError as error:
        raise SlipwayError(drift) if drift else error from None
    if drift and not change.there:
        raise SlipwayError(drift)
    with working(server, files.schema, default_transaction_read_only="on") as cursor:
        lost = [each.what for each in change.losses if _has_rows(cursor, each)]
    return {
        "statements": list(change.up),
        "down": list(change.down),
        "no_down": change.no_down,
        "left": list(change.left),
        "remarks": list(change.remarks),
        "losses": lost,
        "there": change.there,
    }


def drifted(server: Server, creator: Server, files: Files) -> str:
    """How the database is not what its migrations make, in sentences; empty where it is.

    Raises SlipwayError where an applied migration was edited or is missing, or one is half-applied.
    """
    with working(server, files.schema) as cursor:
        plan = files.compare(cursor)[0]
    faults = [*plan.failed, *plan.edited, *plan.edited_whitespace, *plan.missing]
    told = [each.text for each in plan.findings if each.migration in {row.name for row in faults} or not each.rule]
    if told:
        raise SlipwayError("\n".join(told))
    drift = by_replay(server, files, creator) if plan.managed else []
    return (
        f"The database was changed outside its migrations: {listed([str(each) for each in drift])}. Undo that, or make "
        "the wanted schema the same, before a migration is derived."
        if drift
        else ""
    )


def _has_rows(cursor: Cursor, found: Destruction) -> bool:
    """Whether there are rows that it is about; where the role may not see, it is taken to have some."""
    if not destroys_data(cursor, found):
        return False
    try:
        cursor.execute(f"SELECT EXISTS (SELECT FROM {found.name})")
    except psycopg2.Error:
        return True
    return bool(one_row(cursor)[0])


def _never(cursor: Cursor) -> None:
    raise SlipwayError(
        "The migrations change more than their database, so that they can't be replayed to compare with what is "
        "wanted: write this migration by hand."
    )


def load(server: Server, schema: str, wanted: Script) -> None:
    """Make the wanted schema in an empty database. The statements may be in any order.

    Raises SlipwayError with the place of one that fails.
    """
    outside = next((each for each in wanted.effects_outside_database if not each.only), None)
    if outside:
        raise SlipwayError(f"The wanted schema {outside.what}, which is no part of a schema: take it out.")
    script = for_the_database(wanted)
    left = list(script.statements)
    with working(server, schema, check_function_bodies="off") as cursor:
        while left:
            failed: list[tuple[Statement, psycopg2.Error]] = []
            for statement in left:
                try:
                    cursor.execute(script.sql(statement))
                except psycopg2.Error as error:
                    if error.pgcode not in _STILL_MISSING:
                        raise _unmade(script, statement, error) from error
                    failed.append((statement, error))
            if len(failed) == len(left):
                raise _unmade(script, *failed[0]) from failed[0][1]
            left = [statement for statement, _ in failed]


def _unmade(script: Script, statement: Statement, error: psycopg2.Error) -> SlipwayError:
    position = error.diag.statement_position
    offset = statement.start + (int(position) - 1 if position else 0)
    line, column = locate(script.text, offset)
    hint = f" PostgreSQL's hint: {error.diag.message_hint}" if error.diag.message_hint else ""
    return SlipwayError(
        f"The wanted schema can't be made: {script.path}:{line}:{column}: {error.diag.message_primary}.{hint}\n"
        f"{excerpt(script.text, offset)}"
    )


def prove(there: Cursor, source: Source, wish: Schema, really: Schema | None = None) -> Change:
    """Derive, apply, compare; then take it back and apply it again.

    ``really`` is the schema that the cursor's database should have had, where what can't be derived may be missing.
    """
    before = read(there)
    goal = source.wish(before, wish)
    up = _bring(there, goal)
    after = read(there)
    spoken = source.wish(after, wish)
    lost = before.texts.keys() & goal.texts.keys() - after.texts.keys()
    left = [key for key in sorted({*after.differs(spoken), *lost}) if key[0] != "rights on"]
    if really:
        left = [key for key in left if really.texts.get(key) != spoken.texts.get(key)]
    told = tuple(_left(key, after, spoken if key in spoken.texts else goal) for key in left)
    if not up:
        return Change(left=told)
    down, no_down = _taken_back(there, up, before, after)
    return Change(tuple(up), tuple(down), told, tuple(remarks(before, goal)), tuple(losses(before, goal)), no_down)


def _left(key: tuple[str, str], after: Schema, target: Schema) -> str:
    kind, name = key
    wanted, found = target.texts.get(key), after.texts.get(key)
    if found is None:
        return f"The {kind} {name} is wanted and can't be derived: {wanted}".rstrip(": ")
    if wanted is None:
        return f"The {kind} {name} is not wanted any more, and how it goes can't be derived"
    return f"The {kind} {name} is wanted otherwise, which can't be derived: {wanted or 'plain'}, not {found or 'plain'}"


def _taken_back(there: Cursor, up: Sequence[str], before: Schema, after: Schema) -> tuple[list[str], str]:
    """The statements that take a change back, unless they don't, and then why."""
    try:
        down = _bring(there, before)
        differing = read(there).differs(before)
        if not differing:
            with _transaction(there):
                _send(there, up)
            differing = read(there).differs(after)
    except SlipwayError as error:
        return [], str(error)
    if differing:
        return [], f"it would leave a difference in {listed([' '.join(key) for key in differing])}"
    return down, ""


def _bring(cursor: Cursor, goal: Schema) -> list[str]:
    """Derive and send statements in one transaction until nothing is left that can be derived; those that were sent."""
    sent: list[str] = []
    with _transaction(cursor):
        now = _within(cursor)
        for number in range(_ROUNDS):
            found = derive(now, goal, again=number > 0)
            if not found and number:
                break
            cursor.execute("SAVEPOINT round")
            _send(cursor, found)
            then = _within(cursor)
            if number and len(then.differs(goal)) >= len(now.differs(goal)):
                cursor.execute("ROLLBACK TO SAVEPOINT round")
                break
            sent += found
            now = then
    return sent


def _within(cursor: Cursor) -> Schema:
    """Read within the transaction, without a trace of the settings that this takes."""
    cursor.execute("SAVEPOINT reading")
    found = read_within(cursor)
    cursor.execute("ROLLBACK TO SAVEPOINT reading")
    return found


@contextlib.contextmanager
def _transaction(cursor: Cursor) -> Iterator[None]:
    cursor.execute("BEGIN")
    try:
        yield
    except BaseException:
        with contextlib.suppress(psycopg2.Error):
            cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")


def _send(cursor: Cursor, statements: Sequence[str]) -> None:
    for statement in statements:
        try:
            cursor.execute(statement)
        except psycopg2.Error as error:
            detail = f" ({' '.join(error.diag.message_detail.split())})" if error.diag.message_detail else ""
            raise SlipwayError(
                f"PostgreSQL refuses what was derived: {error.diag.message_primary}{detail}, in: {statement}; change "
                f"the "
                "wanted schema, or write this migration by hand."
            ) from error
