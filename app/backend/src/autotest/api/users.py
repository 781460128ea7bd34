# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in, and users."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, status
from sqlalchemy import select

from autotest.api.common import Caller, Secrets, Sessions, forbidden, not_found, problems
from autotest.models import Team, TeamMember, User
from autotest.schemas import Credentials, Id, Me, Membership, NewPassword, NewUser, SessionOut, UserOut
from autotest.security import hash_password

router = APIRouter(tags=["users"])


@router.post("/sessions", status_code=status.HTTP_201_CREATED, responses=problems(401))
def sign_in(body: Credentials, sessions: Sessions, secrets: Secrets) -> SessionOut:
    """Exchange an e-mail address and a password for a bearer token."""
    with sessions() as session:
        user = session.scalar(select(User).where(User.email == body.email))
    known = secrets.verify_password(user.password_hash if user else None, body.password.get_secret_value())
    if user is None or not known:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "The e-mail address or the password is wrong.")
    token, expires_at = secrets.issue_token(user.id)
    return SessionOut(token=token, expires_at=expires_at, user=UserOut.model_validate(user))


@router.get("/me", responses=problems(401))
def me(sessions: Sessions, caller: Caller) -> Me:
    """Who the token belongs to, and in which teams."""
    query = (
        select(Team.slug, TeamMember.role)
        .join(TeamMember, TeamMember.team_id == Team.id)
        .where(TeamMember.user_id == caller.id)
        .order_by(Team.slug)
    )
    with sessions() as session:
        teams = [Membership(team=slug, role=role) for slug, role in session.execute(query)]
    return Me(**UserOut.model_validate(caller).model_dump(), teams=teams)


@router.post("/users", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 409))
def create_user(body: NewUser, sessions: Sessions, caller: Caller) -> UserOut:
    """Add a user; administrators only."""
    if not caller.is_admin:
        raise forbidden("Only an administrator can add users.")
    user = User(
        email=body.email,
        name=body.name,
        is_admin=body.is_admin,
        password_hash=hash_password(body.password.get_secret_value()),
    )
    with sessions.begin() as session:
        session.add(user)
        session.flush()
        session.refresh(user)
        return UserOut.model_validate(user)


@router.put("/users/{user_id}/password", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 404))
def set_password(user_id: Id, body: NewPassword, sessions: Sessions, caller: Caller) -> None:
    """Set one's own password, or, as an administrator, anyone's."""
    if not caller.is_admin and caller.id != user_id:
        raise forbidden("Only an administrator can set another user's password.")
    password_hash = hash_password(body.password.get_secret_value())
    with sessions.begin() as session:
        user = session.get(User, user_id)
        if user is None:
            raise not_found("user")
        user.password_hash = password_hash
