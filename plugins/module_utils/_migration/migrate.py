# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies the pending migrations of a directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.apply import (
    AT_ONCE,
    WANTS_ITS_OWN,
    Application,
    Applied,
    Patience,
    advance,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.data_at_risk import destroys_data
from ansible_collections.slipway.deploy.plugins.module_utils._migration.decisions import write_down
from ansible_collections.slipway.deploy.plugins.module_utils._migration.effects import RowsByTable, effects, read_rows
from ansible_collections.slipway.deploy.plugins.module_utils._migration.history import COLUMNS, HistoryTable
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import RULE as BLOCKING
from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import Limits, results
from ansible_collections.slipway.deploy.plugins.module_utils._migration.lint_relevance import applies_here
from ansible_collections.slipway.deploy.plugins.module_utils._migration.locks import (
    PRISMA_KEY,
    SLIPWAY_KEY,
    Holder,
    Watch,
    held,
    holder,
)
from ansible_collections.slipway.deploy.plugins.module_utils._migration.model import Payload
from ansible_collections.slipway.deploy.plugins.module_utils._migration.observation import Observation
from ansible_collections.slipway.deploy.plugins.module_utils._migration.plan import Plan, make_plan
from ansible_collections.slipway.deploy.plugins.module_utils._migration.policy import Finding, Policy, Verdict
from ansible_collections.slipway.deploy.plugins.module_utils._migration.rehearsal import Extent, extent, not_rehearsed
from ansible_collections.slipway.deploy.plugins.module_utils._migration.session import Session, StatementError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.traffic import Traffic
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.connection import (
    Server,
    roll_back,
    working,
)
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.interruption import Interrupted
from ansible_collections.slipway.deploy.plugins.module_utils._run.fence import insist

with contextlib.suppress(ImportError):  # connect() says so
    import psycopg2

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

# What surrounds the applying of migrations, given the session and the history's schema.
ApplyContext = Callable[["Cursor", str], contextlib.AbstractContextManager[None]]
# The rules that a rehearsal finds out about.
_REHEARSED = ("destructive", BLOCKING)


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

    def insist_on(self, digest: str | None) -> None:
        """Raise SlipwayError when the files are not those with this digest, if one is given."""
        if digest and digest != self.payload.digest:
            raise SlipwayError(
                f"The migrations in {self.directory!r} were changed during this run, so that nothing was done: "
                "run again when nothing writes to them any more."
            )

    def compare(self, cursor: Cursor) -> tuple[Plan, Verdict]:
        """Read the database, plan, and judge the plan."""
        plan = make_plan(self.directory, self.payload, HistoryTable(self.schema).read(cursor))
        plan = replace(
            plan,
            running=_runs(cursor) if plan.failed or plan.half_applied else None,
            destructive=tuple((name, found) for name, found in plan.destructive if destroys_data(cursor, found)),
            lint=tuple((name, found) for name, found in plan.lint if applies_here(cursor, found)),
        )
        return plan, self.policy.judge(plan.findings)


def _runs(cursor: Cursor) -> Holder | None:
    return holder(cursor, PRISMA_KEY) or holder(cursor, SLIPWAY_KEY)


@dataclass(frozen=True)
class Outcome:
    """The state of the database as a module returns it, what was done and what to warn of, in sentences.

    ``stopped`` is the warning about what was not rehearsed, if there is one, ``effects`` what was lost in a rehearsal,
    ``rehearsal`` what each migration did in it.
    """

    migrations: dict[str, Any]
    actions: list[str]
    warnings: list[str]
    stopped: str = ""
    effects: list[dict[str, str]] = field(default_factory=list)
    rehearsal: list[dict[str, Any]] = field(default_factory=list)


def check(plan: Plan, verdict: Verdict) -> None:
    """Raise SlipwayError with all that stops a run, if anything does."""
    if verdict.denied:
        raise SlipwayError("\n".join(verdict.problems), migrations=plan.result())


@contextlib.contextmanager
def no_context(cursor: Cursor, schema: str) -> Iterator[None]:
    """The ``ApplyContext`` that does nothing."""
    yield


@dataclass(frozen=True)
class Rehearsal:
    """A run on a copy of a database, on a server that is to stay as it is.

    The first migration that changes more than its database, and all after it, run in a transaction that is rolled back,
    in which ``at_end`` is called; the run stops, with a warning, before one that lasts. With ``limits``, what each
    migration does to the tables is seen, and held against the traffic of the database ``live``.
    """

    at_end: Callable[[Cursor], None] | None = None
    limits: Limits | None = None
    live: Server | None = None


def migrate(
    server: Server,
    files: Files,
    patience: Patience,
    context: ApplyContext = no_context,
    rehearsal: Rehearsal | None = None,
    row_values: bool = False,
    watcher: Server | None = None,
    **settings: str,
) -> Outcome:
    """Apply what is pending, or only rehearse it; ``settings`` are the server's, such as ``lock_timeout``.

    Nothing is locked or written when nothing is pending. Raises SlipwayError when the state forbids to go on, another
    run holds the lock for too long, or a migration fails; the state then is in the error's details. ``watcher`` may see
    the sessions of all roles, to name those that are in the way.
    """
    # Commits need not wait for the disk one by one: nothing is said to be applied before the last has reached it.
    settings = {"synchronous_commit": "off", "client_min_messages": "warning", **settings}
    with working(server, files.schema, **settings) as cursor:
        plan, verdict = files.compare(cursor)
        applied: list[Applied] = []
        course, stopped = Extent(0), ""
        observes = rehearsal is not None and files.policy.rules["destructive"] != "allow"
        observed = Effects(cursor, files.policy, observes)
        seen = None
        if rehearsal and rehearsal.limits:
            live, readers = rehearsal.live, [each for each in (watcher, server) if each]
            lives = [replace(live, user=each.user, password=each.password) for each in readers] if live else []
            seen = Observation(cursor, server, rehearsal.limits, Traffic(lives))
        if plan.pending or verdict.denied:
            with held(cursor, patience.lock_wait, watcher):
                plan, verdict = files.compare(cursor)
                check(plan, verdict)
                scripts = [files.payload.scripts.get(each.name) for each in plan.pending]
                course = extent(scripts) if rehearsal else Extent(len(scripts))
                if course.kept or course.rolled_back:
                    pid, locks = cursor.connection.get_backend_pid(), seen.locks if seen else None
                    told, around = telling(cursor, files, plan.applied), context(cursor, files.schema)
                    watched = Watch(server, pid, watcher)
                    with (
                        told,
                        around,
                        watched,
                        Session(cursor, watched, rehearsal is not None, row_values, locks) as session,
                    ):
                        run = _Run(session, watched, files, plan, course, rehearsal or Rehearsal(), observed, seen)
                        applied = run.apply(verdict, patience)
                if len(applied) < len(scripts):
                    stopped = not_rehearsed(f"The migration {plan.pending[len(applied)].name!r}", course.stop)
    actions = [f"{_told(each, course)} in {each.seconds:.3f} s." for each in applied]
    warnings = [each.text for each in (*verdict.warned, *observed.warned)] + ([stopped] if stopped else [])
    impacts = results(seen.impacts) if seen else []
    return Outcome(report(plan, applied), actions, warnings, stopped, observed.found, impacts)


class Effects:
    """What migrations lose of what a copy held before the first of them, and what a policy says of it.

    Nothing is looked at unless it is to be ``observed``, and nothing can be lost where there was no table.
    """

    def __init__(self, cursor: Cursor, policy: Policy, observed: bool) -> None:
        self.found: list[dict[str, str]] = []
        self.warned: list[Finding] = []
        self._cursor = cursor
        self._policy = policy
        self._observed = observed
        self._first: RowsByTable = {}
        self._told: set[str] = set()

    def begin(self) -> None:
        """Read what is there before the first migration."""
        self._first = read_rows(self._cursor) if self._observed else {}

    def judge(self, migration: str) -> None:
        """See what a migration lost. Raises SlipwayError when the policy denies it."""
        lost = effects(self._first, read_rows(self._cursor)) if self._first else []
        lost = [each for each in lost if each not in self._told]
        self._told.update(lost)
        self.found += [{"migration": migration, "effect": each} for each in lost]
        if lost:
            text = f"The migration {migration!r}, rehearsed on a copy, {'; '.join(lost[:5])}"
            text += f"; and {len(lost) - 5} more." if len(lost) > 5 else "."
            verdict = self._policy.judge([Finding("destructive", migration, text)])
            self.warned += verdict.warned
            if verdict.denied:
                told = f"{verdict.denied[0].text} The database itself was not touched."
                raise SlipwayError("\n".join([told, *verdict.advice]))


def _told(applied: Applied, course: Extent) -> str:
    if applied.rolled_back:
        return f"Applied {applied.name}, and rolled it back since the server is to stay as it is ({course.why}),"
    return f"Applied {applied.name}"


@contextlib.contextmanager
def telling(cursor: Cursor, files: Files, before: Sequence[str]) -> Iterator[None]:
    """Have an interruption say what the history of migrations holds then, compared with what was applied ``before``."""
    try:
        yield
    except Interrupted as stop:
        with contextlib.suppress(SlipwayError, psycopg2.Error):
            roll_back(cursor)
            plan = files.compare(cursor)[0]
            stop.outcome = _outcome(before, plan)
            stop.details["migrations"] = plan.result()
        raise


def _outcome(before: Sequence[str], plan: Plan) -> str:
    """What an interrupted run has done, as a clause, from what was applied before it and the plan after it."""
    told = []
    for verb, names in (
        ("applied", [name for name in plan.applied if name not in before]),
        ("undone", [name for name in before if name not in plan.applied]),
    ):
        if names:
            told.append(f"{', '.join(names)} {'was' if len(names) == 1 else 'were'} {verb}")
    told += [f"{name} is half-applied" for name in plan.half_applied]
    return f"{', '.join([*told, 'nothing else was kept' if told else 'nothing was kept'])}; run again to go on"


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


@dataclass(frozen=True)
class _Run:
    """Pending migrations on their way into the database, over a session that holds the locks."""

    session: Session
    watch: Watch
    files: Files
    plan: Plan
    course: Extent
    rehearsal: Rehearsal
    observed: Effects
    seen: Observation | None

    def apply(self, verdict: Verdict, patience: Patience) -> list[Applied]:
        """Apply them, as far as the course goes. Raises SlipwayError, with the state in its details."""
        applied: list[Applied] = []
        plan, table, cursor = self.plan, HistoryTable(self.files.schema), self.session.cursor
        _prepare(cursor, table, plan.managed)
        names = {each.name for each in plan.pending}
        # What a rehearsal saw is not known here: a waiver for that is recorded when its migration is applied.
        early = [each for each in self.files.policy.waivers if each.rule in _REHEARSED and each.migration in names]
        for waiver in dict.fromkeys((*verdict.waived, *early)):
            write_down(cursor, waiver.migration, waiver.decision)
        scripts = self.files.payload.scripts
        try:
            works = [Application(self.session, table, each, scripts, self.watch, patience) for each in plan.pending]
            self.observed.begin()
            if self.seen:
                self.seen.begin()
            kept = self.course.kept
            while len(applied) < kept:
                insist()
                work, *others = works[len(applied) : min(len(applied) + AT_ONCE, kept)]
                if work.migration.name in plan.half_applied:
                    work.resume(*plan.half_applied[work.migration.name])
                try:
                    applied += advance(self.session, [work, *others])
                except StatementError as error:
                    raise SlipwayError(work.failure(error)) from error
                self._look(applied[-1])
            if self.course.rolled_back:
                applied += self._rolled_back(works[kept : kept + self.course.rolled_back])
            if self.seen:
                self.observed.warned += _bearable(self.seen.blocking(), self.files.policy)
        except SlipwayError as error:
            if self.seen:
                error.details["rehearsal"] = results(self.seen.impacts)
            error.details["migrations"] = report(plan, applied)
            error.details["changed"] = not all(each.rolled_back for each in applied)
            raise
        return applied

    def _rolled_back(self, works: list[Application]) -> list[Applied]:
        """Apply migrations in a transaction that is rolled back, up to one that turns out to want one of its own."""
        applied: list[Applied] = []
        with self.session.rolled_back():
            for work in works:
                try:
                    applied.append(replace(work.run(), rolled_back=True))
                except StatementError as failed:
                    if failed.code in WANTS_ITS_OWN:
                        break
                    raise SlipwayError(work.failure(failed)) from failed
                self._look(applied[-1])
            if self.rehearsal.at_end:
                self.rehearsal.at_end(self.session.cursor)
        return applied

    def _look(self, applied: Applied) -> None:
        """See what a migration did. Nothing can be lost of tables that it did not lock to change them."""
        if not self.seen:
            self.observed.judge(applied.name)
        elif self.seen.saw(applied.name, applied.seconds).changed_tables:
            self.observed.judge(applied.name)
            self.seen.settle()


def _bearable(findings: Sequence[Finding], policy: Policy) -> tuple[Finding, ...]:
    """What is to be warned of. Raises SlipwayError when the policy denies one of the findings of a rehearsal."""
    verdict = policy.judge(findings)
    if verdict.denied:
        untouched = "This was a rehearsal on a copy: the database itself was not touched."
        raise SlipwayError("\n".join([*(each.text for each in verdict.denied), untouched, *verdict.advice]))
    return verdict.warned


def _prepare(cursor: Cursor, table: HistoryTable, exists: bool) -> None:
    """Make sure of a history that can be written to before anything else is."""
    try:
        if exists:
            columns = ", ".join(COLUMNS)
            cursor.execute(f"INSERT INTO {table.quoted} ({columns}) SELECT {columns} FROM {table.quoted} WHERE false")
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
