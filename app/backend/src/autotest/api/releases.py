# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases."""

from __future__ import annotations

from fastapi import APIRouter, status
from sqlalchemy import select
from sqlalchemy.orm import contains_eager

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
from autotest.models import Build, BuildStatus, Release, Team, TeamRole
from autotest.schemas import NewRelease, Page, ReleaseOut, Slug

router = APIRouter(tags=["releases"])


def _describe(release: Release) -> ReleaseOut:
    return ReleaseOut(
        id=release.id,
        team=release.team.slug,
        version=release.version,
        notes=release.notes,
        build_id=release.build_id,
        released_at=release.released_at,
    )


@router.get("/releases")
def list_releases(sessions: Sessions, paging: Pages, team: TeamFilter = None) -> Page[ReleaseOut]:
    """Releases, newest first."""
    query = (
        select(Release)
        .join(Release.team)
        .options(contains_eager(Release.team))
        .order_by(Release.released_at.desc(), Release.id.desc())
    )
    if team is not None:
        query = query.where(Team.slug == team)
    with sessions() as session:
        releases, total = page_of(session, query, paging)
        return Page.of([_describe(release) for release in releases], total, paging)


@router.post("/teams/{slug}/releases", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 404, 409))
def create_release(slug: Slug, body: NewRelease, sessions: Sessions, caller: Caller) -> ReleaseOut:
    """Record a release; maintainers and owners. A build that it names must be the team's own and have passed."""
    with sessions.begin() as session:
        team = find_team(session, slug)
        require_role(session, team, caller, TeamRole.MAINTAINER)
        if body.build_id is not None:
            build = session.get(Build, body.build_id)
            if build is None or build.team_id != team.id:
                raise not_found("build in this team")
            if build.status is not BuildStatus.PASSED:
                raise conflict("Only a build that passed can be released.")
        release = Release(team=team, released_by=caller.id, **body.model_dump())
        session.add(release)
        session.flush()
        session.refresh(release)
        return _describe(release)
