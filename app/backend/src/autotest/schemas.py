# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API takes and gives. Input is checked here as strictly as the database would check it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Generic, Self, TypeVar

from fastapi import Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from autotest.models import BuildStatus, TeamRole, TestFramework

T = TypeVar("T")


def _past(moment: datetime) -> datetime:
    if not datetime(2000, 1, 1, tzinfo=UTC) <= moment <= datetime.now(UTC):
        raise ValueError("must lie between the year 2000 and now")
    return moment


# PostgreSQL's text holds no NUL, and a name or branch no other control character either.
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Prose = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
Slug = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        to_lower=True,
        max_length=254,
        pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$",
    ),
]
Repository = Annotated[str, StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")]
CommitSha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,40}$")]
_cron_field = r"(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?"
Cron = Annotated[
    str,
    StringConstraints(
        max_length=100, pattern=rf"^{_cron_field}(,{_cron_field})*( {_cron_field}(,{_cron_field})*){{4}}$"
    ),
]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Past = Annotated[AwareDatetime, AfterValidator(_past)]


class In(BaseModel):
    """A request's body; a field that is not known is an error rather than a surprise."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Problem(BaseModel):
    detail: str


class Paging(BaseModel):
    limit: Annotated[int, Query(ge=1, le=200)] = 50
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int
    limit: int
    offset: int

    @classmethod
    def of(cls, items: list[T], total: int, paging: Paging) -> Self:
        return cls(items=items, total=total, limit=paging.limit, offset=paging.offset)


# Users and sessions


class Credentials(In):
    email: Email
    password: Annotated[SecretStr, Field(max_length=1024)]


class Password(In):
    password: Annotated[SecretStr, Field(max_length=1024)]


class NewPassword(In):
    password: Annotated[SecretStr, Field(min_length=12, max_length=1024)]


class NewUser(NewPassword):
    email: Email
    name: Line
    is_admin: bool = False


class UserOut(Out):
    id: int
    email: str
    name: str
    is_admin: bool
    created_at: datetime


class SessionOut(Out):
    token: str
    token_type: str = "bearer"
    expires_at: datetime
    user: UserOut


class Membership(Out):
    team: str
    role: TeamRole


class Me(UserOut):
    teams: list[Membership]


# Teams


class NewTeam(In):
    slug: Slug
    name: Line


class TeamOut(Out):
    slug: str
    name: str
    created_at: datetime
    repository: str | None
    pass_rate_target: int
    member_count: int
    build_count: int
    last_build_at: datetime | None
    last_build_status: BuildStatus | None


class NewMember(In):
    email: Email
    role: TeamRole = TeamRole.MEMBER


class MemberOut(Out):
    user_id: int
    email: str
    name: str
    role: TeamRole
    created_at: datetime


class SettingsIn(In):
    repository: Repository | None = None
    default_branch: Line = "main"
    pass_rate_target: Annotated[int, Field(ge=0, le=100, description="In per cent.")] = 95


class SettingsOut(Out):
    repository: str | None
    default_branch: str
    pass_rate_target: int
    updated_at: datetime


class GithubTokenIn(In):
    token: Annotated[SecretStr, Field(min_length=20, max_length=255)]


class GithubTokenOut(Out):
    """That there is a token, and which; never the token."""

    hint: str
    created_at: datetime


# Builds


class NewTestRun(In):
    suite: Line
    framework: TestFramework = TestFramework.UNKNOWN
    passed: Count = 0
    failed: Count = 0
    skipped: Count = 0
    duration_ms: Count = 0


class TestRunOut(Out):
    __test__ = False

    id: int
    suite: str
    framework: TestFramework
    passed: int
    failed: int
    skipped: int
    duration_ms: int


class NewBuild(In):
    branch: Line
    commit_sha: CommitSha
    status: BuildStatus = BuildStatus.QUEUED
    workflow_run_id: Id | None = None
    created_at: Past | None = None
    test_runs: Annotated[list[NewTestRun], Field(max_length=200)] = []


class BuildChange(In):
    """A later report on a build: its new status, and test runs that have ended since."""

    status: BuildStatus | None = None
    test_runs: Annotated[list[NewTestRun], Field(max_length=200)] = []


class BuildOut(Out):
    id: int
    team: str
    branch: str
    commit_sha: str
    status: BuildStatus
    workflow_run_id: int | None
    created_at: datetime
    finished_at: datetime | None
    passed: int
    failed: int
    skipped: int


class BuildDetail(BuildOut):
    test_runs: list[TestRunOut]


class PassRateDay(BaseModel):
    """One day, in UTC; pass_rate is passed / (passed + failed), null on a day without either."""

    day: date
    builds: int
    passed: int
    failed: int
    pass_rate: float | None


# Releases and scheduled tests


class NewRelease(In):
    version: Line
    notes: Prose = ""
    build_id: Id | None = None


class ReleaseOut(Out):
    id: int
    team: str
    version: str
    notes: str
    build_id: int | None
    released_at: datetime


class NewScheduledTest(In):
    name: Line
    suite: Line
    cron: Cron
    framework: TestFramework = TestFramework.UNKNOWN
    branch: Annotated[Line | None, Field(description="The team's default branch when left out.")] = None
    enabled: bool = True


class ScheduledTestChange(In):
    """Fields that are left out stay as they are. A scheduler reports the run it started as workflow_run_id."""

    cron: Cron | None = None
    enabled: bool | None = None
    workflow_run_id: Id | None = None


class ScheduledTestOut(Out):
    id: int
    team: str
    name: str
    suite: str
    framework: TestFramework
    branch: str
    cron: str
    enabled: bool
    last_run_at: datetime | None
    workflow_run_id: int | None
    last_build_id: int | None
    last_build_status: BuildStatus | None
