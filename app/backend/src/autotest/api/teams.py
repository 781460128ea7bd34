# SPDX-License-Identifier: GPL-3.0-or-later
"""Teams, their members, settings and GitHub token."""

from __future__ import annotations

from fastapi import APIRouter, status
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import InstrumentedAttribute, Session, selectinload

from autotest.api.common import (
    Caller,
    Pages,
    Secrets,
    Sessions,
    conflict,
    find_team,
    not_found,
    page_of,
    problems,
    require_role,
)
from autotest.models import Build, GithubToken, Team, TeamMember, TeamRole, TeamSettings, User
from autotest.schemas import (
    GithubTokenIn,
    GithubTokenOut,
    Id,
    MemberOut,
    NewMember,
    NewTeam,
    Page,
    SettingsIn,
    SettingsOut,
    Slug,
    TeamOut,
)

router = APIRouter(prefix="/teams", tags=["teams"])

DEFAULT_PASS_RATE_TARGET = 95  # per cent, as in the table


def _count(session: Session, team_id: InstrumentedAttribute[int], ids: list[int]) -> dict[int, int]:
    query = select(team_id, func.count()).where(team_id.in_(ids)).group_by(team_id)
    return dict(session.execute(query).all())


def _describe(session: Session, teams: list[Team]) -> list[TeamOut]:
    """Add to each team its counts and its last build, with one query each for all of them."""
    ids = [team.id for team in teams]
    members = _count(session, TeamMember.team_id, ids)
    builds = _count(session, Build.team_id, ids)
    last = {
        build.team_id: build
        for build in session.scalars(
            select(Build)
            .where(Build.team_id.in_(ids))
            .ext(distinct_on(Build.team_id))
            .order_by(Build.team_id.desc(), Build.created_at.desc(), Build.id.desc())
        )
    }
    return [
        TeamOut(
            slug=team.slug,
            name=team.name,
            created_at=team.created_at,
            repository=team.settings.repository if team.settings else None,
            pass_rate_target=team.settings.pass_rate_target if team.settings else DEFAULT_PASS_RATE_TARGET,
            member_count=members.get(team.id, 0),
            build_count=builds.get(team.id, 0),
            last_build_at=last[team.id].created_at if team.id in last else None,
            last_build_status=last[team.id].status if team.id in last else None,
        )
        for team in teams
    ]


@router.get("")
def list_teams(sessions: Sessions, paging: Pages) -> Page[TeamOut]:
    """All teams, by name."""
    with sessions() as session:
        teams, total = page_of(
            session, select(Team).options(selectinload(Team.settings)).order_by(Team.name, Team.id), paging
        )
        return Page.of(_describe(session, teams), total, paging)


@router.post("", status_code=status.HTTP_201_CREATED, responses=problems(401, 409))
def create_team(body: NewTeam, sessions: Sessions, caller: Caller) -> TeamOut:
    """Found a team and become its owner."""
    with sessions.begin() as session:
        team = Team(slug=body.slug, name=body.name, settings=TeamSettings())
        team.members.append(TeamMember(user_id=caller.id, role=TeamRole.OWNER))
        session.add(team)
        session.flush()
        return _describe(session, [team])[0]


@router.get("/{slug}", responses=problems(404))
def get_team(slug: Slug, sessions: Sessions) -> TeamOut:
    with sessions() as session:
        return _describe(session, [find_team(session, slug)])[0]


@router.delete("/{slug}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 404))
def delete_team(slug: Slug, sessions: Sessions, caller: Caller) -> None:
    """Remove a team with its builds, releases and scheduled tests; owners only."""
    with sessions.begin() as session:
        team = find_team(session, slug, lock=True)
        require_role(session, team, caller, TeamRole.OWNER)
        session.delete(team)


@router.get("/{slug}/members", responses=problems(401, 403, 404))
def list_members(slug: Slug, sessions: Sessions, caller: Caller, paging: Pages) -> Page[MemberOut]:
    """The members, for members: names and addresses are nobody else's business."""
    with sessions() as session:
        team = find_team(session, slug)
        require_role(session, team, caller)
        query = select(TeamMember).where(TeamMember.team_id == team.id).join(User).order_by(User.name, User.id)
        members, total = page_of(session, query, paging)
        return Page.of([_member(member) for member in members], total, paging)


@router.post("/{slug}/members", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 404, 409))
def add_member(slug: Slug, body: NewMember, sessions: Sessions, caller: Caller) -> MemberOut:
    """Add a user by e-mail address; maintainers can, but only an owner makes owners."""
    with sessions.begin() as session:
        team = find_team(session, slug)
        needed = TeamRole.OWNER if body.role is TeamRole.OWNER else TeamRole.MAINTAINER
        require_role(session, team, caller, needed)
        user = session.scalar(select(User).where(User.email == body.email))
        if user is None:
            raise not_found("user")
        member = TeamMember(team_id=team.id, user_id=user.id, role=body.role)
        session.add(member)
        session.flush()
        session.refresh(member)
        return _member(member)


@router.delete(
    "/{slug}/members/{user_id}", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 404, 409)
)
def remove_member(slug: Slug, user_id: Id, sessions: Sessions, caller: Caller) -> None:
    """Remove a member; anyone can leave, but a team keeps at least one owner."""
    with sessions.begin() as session:
        team = find_team(session, slug, lock=True)  # two owners who leave at once must not both succeed
        member = session.get(TeamMember, (team.id, user_id))
        if user_id != caller.id:
            is_owner = member is not None and member.role is TeamRole.OWNER
            require_role(session, team, caller, TeamRole.OWNER if is_owner else TeamRole.MAINTAINER)
        if member is None:
            raise not_found("member")
        if member.role is TeamRole.OWNER:
            owners = select(func.count()).where(TeamMember.team_id == team.id, TeamMember.role == TeamRole.OWNER)
            if session.scalar(owners) == 1:
                raise conflict("This is the team's only owner; make another one first.")
        session.delete(member)


def _member(member: TeamMember) -> MemberOut:
    return MemberOut(
        user_id=member.user_id,
        email=member.user.email,
        name=member.user.name,
        role=member.role,
        created_at=member.created_at,
    )


@router.get("/{slug}/settings", responses=problems(401, 403, 404))
def get_settings(slug: Slug, sessions: Sessions, caller: Caller) -> SettingsOut:
    with sessions() as session:
        team = find_team(session, slug)
        require_role(session, team, caller)
        if team.settings is None:
            raise not_found("team's settings")
        return SettingsOut.model_validate(team.settings)


@router.put("/{slug}/settings", responses=problems(401, 403, 404))
def set_settings(slug: Slug, body: SettingsIn, sessions: Sessions, caller: Caller) -> SettingsOut:
    """Replace the settings; maintainers and owners."""
    with sessions.begin() as session:
        team = find_team(session, slug, lock=True)
        require_role(session, team, caller, TeamRole.MAINTAINER)
        settings = session.merge(TeamSettings(team_id=team.id, updated_at=func.now(), **body.model_dump()))
        session.flush()
        session.refresh(settings)
        return SettingsOut.model_validate(settings)


@router.get("/{slug}/github-token", responses=problems(401, 403, 404))
def get_github_token(slug: Slug, sessions: Sessions, caller: Caller) -> GithubTokenOut:
    """Whether there is a token, its last four characters and its age."""
    with sessions() as session:
        team = find_team(session, slug)
        require_role(session, team, caller, TeamRole.MAINTAINER)
        if team.github_token is None:
            raise not_found("GitHub token")
        return GithubTokenOut.model_validate(team.github_token)


@router.put("/{slug}/github-token", responses=problems(401, 403, 404))
def set_github_token(
    slug: Slug, body: GithubTokenIn, sessions: Sessions, secrets: Secrets, caller: Caller
) -> GithubTokenOut:
    """Store or replace the token. It is encrypted with a key derived from the server's and never returned."""
    token = body.token.get_secret_value()
    with sessions.begin() as session:
        team = find_team(session, slug, lock=True)
        require_role(session, team, caller, TeamRole.MAINTAINER)
        stored = session.merge(
            GithubToken(
                team_id=team.id,
                encrypted_token=secrets.encrypt(token),
                hint=token[-4:],
                created_by=caller.id,
                created_at=func.now(),
            )
        )
        session.flush()
        session.refresh(stored)
        return GithubTokenOut.model_validate(stored)


@router.delete("/{slug}/github-token", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 404))
def delete_github_token(slug: Slug, sessions: Sessions, caller: Caller) -> None:
    with sessions.begin() as session:
        team = find_team(session, slug, lock=True)
        require_role(session, team, caller, TeamRole.MAINTAINER)
        if team.github_token is None:
            raise not_found("GitHub token")
        session.delete(team.github_token)
