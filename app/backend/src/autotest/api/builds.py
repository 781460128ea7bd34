# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds with their test runs, and the pass rate by day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import AwareDatetime
from sqlalchemy import Select, cast, func, select
from sqlalchemy.orm import Session, contains_eager, selectinload
from sqlalchemy.types import Date

from autotest.api.common import (
    Caller,
    Pages,
    Sessions,
    TeamFilter,
    conflict,
    find_team,
    not_found,
    page_of,
    problems,
    require_role,
)
from autotest.models import Build, BuildStatus, Team, TestRun
from autotest.schemas import (
    BuildChange,
    BuildDetail,
    BuildOut,
    Id,
    Line,
    NewBuild,
    NewTestRun,
    Page,
    PassRateDay,
    Slug,
    TestRunOut,
)

router = APIRouter(tags=["builds"])


def _builds() -> Select[Build]:
    return select(Build).join(Build.team).options(contains_eager(Build.team), selectinload(Build.test_runs))


def _summary(build: Build) -> BuildOut:
    return BuildOut(
        id=build.id,
        team=build.team.slug,
        branch=build.branch,
        commit_sha=build.commit_sha,
        status=build.status,
        workflow_run_id=build.workflow_run_id,
        created_at=build.created_at,
        finished_at=build.finished_at,
        passed=sum(run.passed for run in build.test_runs),
        failed=sum(run.failed for run in build.test_runs),
        skipped=sum(run.skipped for run in build.test_runs),
    )


def _detail(build: Build) -> BuildDetail:
    runs = [TestRunOut.model_validate(run) for run in build.test_runs]
    return BuildDetail(**_summary(build).model_dump(), test_runs=runs)


def _find(session: Session, build_id: int, *, lock: bool = False) -> Build:
    query = _builds().where(Build.id == build_id)
    build = session.scalar(query.with_for_update(of=Build) if lock else query)
    if build is None:
        raise not_found("build")
    return build


def _runs(runs: list[NewTestRun]) -> list[TestRun]:
    return [TestRun(**run.model_dump()) for run in runs]


@router.get("/builds")
def list_builds(
    sessions: Sessions,
    paging: Pages,
    team: TeamFilter = None,
    status: Annotated[BuildStatus | None, Query()] = None,
    branch: Annotated[Line | None, Query()] = None,
    since: Annotated[AwareDatetime | None, Query(description="Only builds created at or after this moment.")] = None,
) -> Page[BuildOut]:
    """Builds, newest first."""
    query = _builds().order_by(Build.created_at.desc(), Build.id.desc())
    if team is not None:
        query = query.where(Team.slug == team)
    if status is not None:
        query = query.where(Build.status == status)
    if branch is not None:
        query = query.where(Build.branch == branch)
    if since is not None:
        query = query.where(Build.created_at >= since)
    with sessions() as session:
        builds, total = page_of(session, query, paging)
        return Page.of([_summary(build) for build in builds], total, paging)


@router.get("/builds/{build_id}", responses=problems(404))
def get_build(build_id: Id, sessions: Sessions) -> BuildDetail:
    with sessions() as session:
        return _detail(_find(session, build_id))


@router.post("/teams/{slug}/builds", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 404, 409))
def create_build(slug: Slug, body: NewBuild, sessions: Sessions, caller: Caller) -> BuildDetail:
    """Report a build, with the test runs that have ended so far."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        team = find_team(session, slug)
        require_role(session, team, caller)
        build = Build(
            team=team,
            branch=body.branch,
            commit_sha=body.commit_sha,
            status=body.status,
            workflow_run_id=body.workflow_run_id,
            created_by=caller.id,
            created_at=body.created_at or now,
            finished_at=now if body.status.final else None,
            test_runs=_runs(body.test_runs),
        )
        session.add(build)
        session.flush()
        return _detail(build)


@router.patch("/builds/{build_id}", responses=problems(401, 403, 404, 409))
def change_build(build_id: Id, body: BuildChange, sessions: Sessions, caller: Caller) -> BuildDetail:
    """Report how a build went on. A build that has ended stays as it is."""
    with sessions.begin() as session:
        build = _find(session, build_id, lock=True)
        require_role(session, build.team, caller)
        if build.status.final:
            raise conflict(f"This build has already ended: it {_ENDED[build.status]}.")
        build.test_runs.extend(_runs(body.test_runs))
        if body.status is not None:
            build.status = body.status
            build.finished_at = datetime.now(UTC) if body.status.final else None
        session.flush()
        return _detail(build)


_ENDED = {BuildStatus.PASSED: "passed", BuildStatus.FAILED: "failed", BuildStatus.CANCELLED: "was cancelled"}


@router.get("/summary/pass-rate")
def pass_rate(
    sessions: Sessions, team: TeamFilter = None, days: Annotated[int, Query(ge=1, le=365)] = 30
) -> list[PassRateDay]:
    """One entry for each of the last days up to today, oldest first, also for days without builds."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=days - 1)
    day = cast(func.timezone("UTC", Build.created_at), Date)
    query = (
        select(
            day,
            func.count(Build.id.distinct()),
            func.coalesce(func.sum(TestRun.passed), 0),
            func.coalesce(func.sum(TestRun.failed), 0),
        )
        .outerjoin(TestRun, TestRun.build_id == Build.id)
        .where(Build.created_at >= datetime(first.year, first.month, first.day, tzinfo=UTC))
        .group_by(day)
    )
    if team is not None:
        query = query.join(Build.team).where(Team.slug == team)
    with sessions() as session:
        found = {row[0]: row for row in session.execute(query)}
    summary = []
    for entry in (first + timedelta(days=number) for number in range(days)):
        _, builds, passed, failed = found.get(entry, (entry, 0, 0, 0))
        rate = passed / (passed + failed) if passed + failed else None
        summary.append(PassRateDay(day=entry, builds=builds, passed=passed, failed=failed, pass_rate=rate))
    return summary
