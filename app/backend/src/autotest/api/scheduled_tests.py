# SPDX-License-Identifier: GPL-3.0-or-later
"""Scheduled tests."""

from __future__ import annotations

from fastapi import APIRouter, status
from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from autotest.api.common import (
    Caller,
    Pages,
    Sessions,
    TeamFilter,
    find_team,
    not_found,
    page_of,
    problems,
    require_role,
)
from autotest.models import ScheduledTest, Team
from autotest.schemas import Id, NewScheduledTest, Page, ScheduledTestChange, ScheduledTestOut, Slug

router = APIRouter(tags=["scheduled tests"])


def _describe(test: ScheduledTest) -> ScheduledTestOut:
    build = test.last_build
    return ScheduledTestOut(
        id=test.id,
        team=test.team.slug,
        name=test.name,
        suite=test.suite,
        framework=test.framework,
        branch=test.branch,
        cron=test.cron,
        enabled=test.enabled,
        last_run_at=test.last_run_at,
        workflow_run_id=test.workflow_run_id,
        last_build_id=build.id if build else None,
        last_build_status=build.status if build else None,
    )


def _find(session: Session, test_id: int) -> ScheduledTest:
    test = session.get(ScheduledTest, test_id, with_for_update=True)
    if test is None:
        raise not_found("scheduled test")
    return test


@router.get("/scheduled-tests")
def list_scheduled_tests(sessions: Sessions, paging: Pages, team: TeamFilter = None) -> Page[ScheduledTestOut]:
    """Scheduled tests, by team and name, each with the build that its last run led to."""
    query = (
        select(ScheduledTest)
        .join(ScheduledTest.team)
        .options(contains_eager(ScheduledTest.team), joinedload(ScheduledTest.last_build))
        .order_by(Team.name, ScheduledTest.name, ScheduledTest.id)
    )
    if team is not None:
        query = query.where(Team.slug == team)
    with sessions() as session:
        tests, total = page_of(session, query, paging)
        return Page.of([_describe(test) for test in tests], total, paging)


@router.post(
    "/teams/{slug}/scheduled-tests", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 404, 409)
)
def create_scheduled_test(slug: Slug, body: NewScheduledTest, sessions: Sessions, caller: Caller) -> ScheduledTestOut:
    with sessions.begin() as session:
        team = find_team(session, slug)
        require_role(session, team, caller)
        branch = body.branch or (team.settings.default_branch if team.settings else "main")
        test = ScheduledTest(team=team, created_by=caller.id, **body.model_dump() | {"branch": branch})
        session.add(test)
        session.flush()
        return _describe(test)


@router.patch("/scheduled-tests/{test_id}", responses=problems(401, 403, 404, 409))
def change_scheduled_test(
    test_id: Id, body: ScheduledTestChange, sessions: Sessions, caller: Caller
) -> ScheduledTestOut:
    """Change the time, switch on or off, or report the workflow run just started."""
    with sessions.begin() as session:
        test = _find(session, test_id)
        require_role(session, test.team, caller)
        for name, value in body.model_dump(exclude_none=True).items():
            setattr(test, name, value)
        if body.workflow_run_id is not None:
            test.last_run_at = func.now()
        session.flush()
        session.refresh(test)
        return _describe(test)


@router.delete("/scheduled-tests/{test_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 404))
def delete_scheduled_test(test_id: Id, sessions: Sessions, caller: Caller) -> None:
    with sessions.begin() as session:
        test = _find(session, test_id)
        require_role(session, test.team, caller)
        session.delete(test)
