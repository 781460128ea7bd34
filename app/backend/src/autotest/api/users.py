# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in, and users."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, status
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from autotest.api.common import Caller, Passwords, Secrets, Sessions, forbidden, not_found, problems
from autotest.models import Team, TeamMember, User
from autotest.schemas import Credentials, Id, Me, Membership, NewPassword, NewUser, Password, SessionOut, UserOut
from autotest.security import hash_password

router = APIRouter(tags=["users"])


def _too_many(seconds: int) -> HTTPException:
    return HTTPException(
        status.HTTP_429_TOO_MANY_REQUESTS,
        "Too many attempts to sign in; try again later.",
        {"Retry-After": str(seconds)},
    )


def _address(request: Request) -> str:
    """Who asks: as the proxy in front says in the header that the settings name, else who is connected."""
    header: str = request.app.state.client_header
    return (header and request.headers.get(header)) or (request.client.host if request.client else "")


def _find(sessions: sessionmaker[Session], email: str) -> User | None:
    with sessions() as session:
        return session.scalar(select(User).where(User.email == email))


@router.post("/sessions", status_code=status.HTTP_201_CREATED, responses=problems(401, 429, 503))
async def sign_in(
    body: Credentials, request: Request, sessions: Sessions, secrets: Secrets, passwords: Passwords
) -> SessionOut:
    """Exchange an e-mail address and a password for a bearer token. Attempts that fail are limited."""
    keys = (f"address {_address(request)}", f"account {body.email}")
    for limiter, key in zip(request.app.state.limiters, keys, strict=True):
        if seconds := limiter.take(key):
            raise _too_many(seconds)
    user = await run_in_threadpool(_find, sessions, body.email)
    known = await passwords.run(
        secrets.verify_password, user.password_hash if user else None, body.password.get_secret_value()
    )
    if user is None or not known:
        raise HTTPException(status.HTTP_401_UNAUTHORIZED, "The e-mail address or the password is wrong.")
    for limiter, key in zip(request.app.state.limiters, keys, strict=True):
        limiter.give_back(key)
    token, expires_at = secrets.issue_token(user.id, user.password_hash)
    return SessionOut(token=token, expires_at=expires_at, user=UserOut.model_validate(user))


@router.post("/sessions/end", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 429, 503))
async def sign_out(
    body: Password, request: Request, sessions: Sessions, secrets: Secrets, passwords: Passwords, caller: Caller
) -> None:
    """Sign out everywhere: every token of the caller ends. It takes the password, which gets a new hash."""
    limiter = request.app.state.limiters[1]
    if seconds := limiter.take(f"account {caller.email}"):
        raise _too_many(seconds)
    password = body.password.get_secret_value()
    if not await passwords.run(secrets.verify_password, caller.password_hash, password):
        raise forbidden("The password is wrong.")
    limiter.give_back(f"account {caller.email}")
    await run_in_threadpool(_store, sessions, caller.id, await passwords.run(hash_password, password))


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


@router.post("/users", status_code=status.HTTP_201_CREATED, responses=problems(401, 403, 409, 503))
async def create_user(body: NewUser, sessions: Sessions, passwords: Passwords, caller: Caller) -> UserOut:
    """Add a user; administrators only."""
    if not caller.is_admin:
        raise forbidden("Only an administrator can add users.")
    password_hash = await passwords.run(hash_password, body.password.get_secret_value())
    user = User(email=body.email, name=body.name, is_admin=body.is_admin, password_hash=password_hash)
    return await run_in_threadpool(_add, sessions, user)


def _add(sessions: sessionmaker[Session], user: User) -> UserOut:
    with sessions.begin() as session:
        session.add(user)
        session.flush()
        session.refresh(user)
        return UserOut.model_validate(user)


@router.put("/users/{user_id}/password", status_code=status.HTTP_204_NO_CONTENT, responses=problems(401, 403, 404, 503))
async def set_password(
    user_id: Id, body: NewPassword, sessions: Sessions, passwords: Passwords, caller: Caller
) -> None:
    """Set one's own password, or, as an administrator, anyone's. Every token of that user ends."""
    if not caller.is_admin and caller.id != user_id:
        raise forbidden("Only an administrator can set another user's password.")
    password_hash = await passwords.run(hash_password, body.password.get_secret_value())
    await run_in_threadpool(_store, sessions, user_id, password_hash)


def _store(sessions: sessionmaker[Session], user_id: int, password_hash: str) -> None:
    with sessions.begin() as session:
        user = session.get(User, user_id)
        if user is None:
            raise not_found("user")
        user.password_hash = password_hash
