# SPDX-License-Identifier: GPL-3.0-or-later
"""What the routes share: sessions, the caller, the caller's rights, paging, and the errors they can end in.

A route opens its session inside its own body. FastAPI runs a dependency and a route as two jobs of one thread pool, so
a connection held from one to the other can starve the very job that would give it back.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Query, Request, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg import errors
from sqlalchemy import Select, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from autotest.models import Team, TeamMember, TeamRole, User
from autotest.schemas import Paging, Problem, Slug
from autotest.security import Hashing, Vault

T = TypeVar("T")

CONFLICTS = {
    "users_email_key": "There is already a user with this e-mail address.",
    "teams_slug_key": "There is already a team with this slug.",
    "team_members_pkey": "This user is already a member of the team.",
    "builds_workflow_run_id_key": "There is already a build for this workflow run.",
    "test_runs_build_id_suite_key": "This build already has a test run of this suite.",
    "releases_team_id_version_key": "The team already has a release with this version.",
    "scheduled_tests_team_id_name_key": "The team already has a scheduled test with this name.",
    "scheduled_tests_workflow_run_id_key": "Another scheduled test already started this workflow run.",
}

_ROLES = list(TeamRole)


async def _sessions(request: Request) -> sessionmaker[Session]:
    sessions: sessionmaker[Session] = request.app.state.sessions
    return sessions


async def _vault(request: Request) -> Vault:
    vault: Vault = request.app.state.vault
    return vault


async def _hashing(request: Request) -> Hashing:
    hashing: Hashing = request.app.state.hashing
    return hashing


Passwords = Annotated[Hashing, Depends(_hashing)]
Sessions = Annotated["sessionmaker[Session]", Depends(_sessions)]
Secrets = Annotated[Vault, Depends(_vault)]
Pages = Annotated[Paging, Query()]
TeamFilter = Annotated[Slug | None, Query(description="Only this team's, by its slug.")]

_bearer = HTTPBearer(auto_error=False, description="The token that POST /api/v1/sessions returns.")


def current_user(
    sessions: Sessions,
    secrets: Secrets,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> User:
    """Return who is calling; raises 401 without a valid token of a user that still exists and has the same password."""
    claim = secrets.read_token(credentials.credentials) if credentials else None
    if claim is not None:
        user_id, digest = claim
        with sessions() as session:
            user = session.get(User, user_id)
            if user and secrets.holds(digest, user.password_hash):
                return user
    raise HTTPException(
        status.HTTP_401_UNAUTHORIZED, "Sign in first: this needs a valid bearer token.", {"WWW-Authenticate": "Bearer"}
    )


Caller = Annotated[User, Depends(current_user)]


def not_found(what: str) -> HTTPException:
    return HTTPException(status.HTTP_404_NOT_FOUND, f"There is no such {what}.")


def conflict(sentence: str) -> HTTPException:
    return HTTPException(status.HTTP_409_CONFLICT, sentence)


def forbidden(sentence: str) -> HTTPException:
    return HTTPException(status.HTTP_403_FORBIDDEN, sentence)


def find_team(session: Session, slug: str, *, lock: bool = False) -> Team:
    query = select(Team).where(Team.slug == slug)
    team = session.scalar(query.with_for_update() if lock else query)
    if team is None:
        raise not_found("team")
    return team


def role_in(session: Session, team: Team, user: User) -> TeamRole | None:
    """Return the user's role; an administrator counts as an owner everywhere."""
    if user.is_admin:
        return TeamRole.OWNER
    member = session.get(TeamMember, (team.id, user.id))
    return member.role if member else None


def require_role(session: Session, team: Team, user: User, needed: TeamRole = TeamRole.MEMBER) -> None:
    role = role_in(session, team, user)
    if role is None or _ROLES.index(role) < _ROLES.index(needed):
        raise forbidden(f"This needs the role {needed} in team {team.slug}.")


def page_of(session: Session, query: Select[T], paging: Paging) -> tuple[list[T], int]:
    """Return one page of an ordered query, and how many rows there are in all."""
    total = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    return list(session.scalars(query.limit(paging.limit).offset(paging.offset))), total


def explain(error: DBAPIError) -> tuple[int, str]:
    """Return the status and the sentence for what the database refused."""
    cause = error.orig
    if error.connection_invalidated or isinstance(cause, errors.OperationalError):
        return status.HTTP_503_SERVICE_UNAVAILABLE, "The database cannot be reached; try again shortly."
    if isinstance(cause, errors.UniqueViolation):
        return status.HTTP_409_CONFLICT, CONFLICTS.get(cause.diag.constraint_name or "", "This already exists.")
    if isinstance(cause, errors.ForeignKeyViolation):
        return status.HTTP_409_CONFLICT, "What this refers to has just been removed."
    if isinstance(cause, errors.DataError | errors.CheckViolation):
        return status.HTTP_422_UNPROCESSABLE_CONTENT, "The database does not take one of these values."
    return status.HTTP_500_INTERNAL_SERVER_ERROR, "Something went wrong; the server's log says what."


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors that a route can end in."""
    return {code: {"model": Problem} for code in codes}
