# SPDX-License-Identifier: GPL-3.0-or-later
"""The nine tables, exactly as the migrations leave them. The tests compare the two; the migrations decide."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class TeamRole(enum.StrEnum):
    """In rising order of rights."""

    MEMBER = "member"
    MAINTAINER = "maintainer"
    OWNER = "owner"


class BuildStatus(enum.StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self not in (BuildStatus.QUEUED, BuildStatus.RUNNING)


class TestFramework(enum.StrEnum):
    __test__ = False  # no test class, whatever pytest makes of its name

    UNKNOWN = "unknown"
    PYTEST = "pytest"
    JEST = "jest"
    JUNIT = "junit"
    PLAYWRIGHT = "playwright"
    CYPRESS = "cypress"


def _enum(cls: type[enum.StrEnum], name: str) -> Enum:
    return Enum(cls, name=name, values_callable=lambda members: [member.value for member in members])


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "fk": "%(table_name)s_%(column_0_name)s_fkey",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        datetime: DateTime(timezone=True),
        TeamRole: _enum(TeamRole, "team_role"),
        BuildStatus: _enum(BuildStatus, "build_status"),
        TestFramework: _enum(TestFramework, "test_framework"),
    }


class User(Base):
    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("email"),
        CheckConstraint("email = lower(email) AND email LIKE '%_@_%'", name="email"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    is_admin: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    memberships: Mapped[list[TeamMember]] = relationship(back_populates="user", passive_deletes=True)


class Team(Base):
    __tablename__ = "teams"
    __table_args__ = (
        UniqueConstraint("slug"),
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    members: Mapped[list[TeamMember]] = relationship(back_populates="team", passive_deletes=True)
    settings: Mapped[TeamSettings | None] = relationship(passive_deletes=True)
    github_token: Mapped[GithubToken | None] = relationship(passive_deletes=True)


class TeamMember(Base):
    __tablename__ = "team_members"
    __table_args__ = (Index(None, "user_id"),)

    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[TeamRole] = mapped_column(server_default=text("'member'"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    team: Mapped[Team] = relationship(back_populates="members")
    user: Mapped[User] = relationship(back_populates="memberships")


class TeamSettings(Base):
    __tablename__ = "team_settings"
    __table_args__ = (CheckConstraint("pass_rate_target BETWEEN 0 AND 100", name="pass_rate_target"),)

    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    repository: Mapped[str | None]
    default_branch: Mapped[str] = mapped_column(server_default=text("'main'"))
    pass_rate_target: Mapped[int] = mapped_column(Integer, server_default=text("95"))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class GithubToken(Base):
    __tablename__ = "github_tokens"
    __table_args__ = (Index(None, "created_by"),)

    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"), primary_key=True)
    encrypted_token: Mapped[str]
    hint: Mapped[str]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Build(Base):
    __tablename__ = "builds"
    __table_args__ = (
        UniqueConstraint("workflow_run_id"),
        CheckConstraint("commit_sha ~ '^[0-9a-f]{7,40}$'", name="commit_sha"),
        CheckConstraint("finished_at >= created_at", name="finished_at"),
        Index(None, "created_at", "id"),
        Index(None, "team_id", "created_at", "id"),
        Index(None, "created_by"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    workflow_run_id: Mapped[int | None]
    branch: Mapped[str]
    commit_sha: Mapped[str]
    status: Mapped[BuildStatus] = mapped_column(server_default=text("'queued'"))
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    finished_at: Mapped[datetime | None]

    team: Mapped[Team] = relationship()
    test_runs: Mapped[list[TestRun]] = relationship(passive_deletes=True, order_by="TestRun.id")


class TestRun(Base):
    __test__ = False

    __tablename__ = "test_runs"
    __table_args__ = (
        UniqueConstraint("build_id", "suite"),
        CheckConstraint("passed >= 0 AND failed >= 0 AND skipped >= 0 AND duration_ms >= 0", name="counts"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    build_id: Mapped[int] = mapped_column(ForeignKey("builds.id", ondelete="CASCADE"))
    suite: Mapped[str]
    passed: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failed: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    skipped: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    duration_ms: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    framework: Mapped[TestFramework] = mapped_column(server_default=text("'unknown'"))


class Release(Base):
    __tablename__ = "releases"
    __table_args__ = (
        UniqueConstraint("team_id", "version"),
        Index(None, "released_at", "id"),
        Index(None, "team_id", "released_at", "id"),
        Index(None, "build_id"),
        Index(None, "released_by"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    build_id: Mapped[int | None] = mapped_column(ForeignKey("builds.id", ondelete="SET NULL"))
    version: Mapped[str]
    notes: Mapped[str] = mapped_column(server_default=text("''"))
    released_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    released_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    team: Mapped[Team] = relationship()
    build: Mapped[Build | None] = relationship()


class ScheduledTest(Base):
    __tablename__ = "scheduled_tests"
    __table_args__ = (
        UniqueConstraint("team_id", "name"),
        UniqueConstraint("workflow_run_id"),
        CheckConstraint(r"cron ~ '^\S+( \S+){4}$'", name="cron"),
        Index(None, "created_by"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("teams.id", ondelete="CASCADE"))
    name: Mapped[str]
    suite: Mapped[str]
    framework: Mapped[TestFramework] = mapped_column(server_default=text("'unknown'"))
    branch: Mapped[str] = mapped_column(server_default=text("'main'"))
    cron: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    last_run_at: Mapped[datetime | None]
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    workflow_run_id: Mapped[int | None]

    team: Mapped[Team] = relationship()
    last_build: Mapped[Build | None] = relationship(
        primaryjoin="foreign(ScheduledTest.workflow_run_id) == Build.workflow_run_id", viewonly=True
    )
