# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill an empty database: python -m autotest.seed [--with-test-data] [--seed-dir DIR]

Reads DATABASE_URL and AUTOTEST_ADMIN_PASSWORD, or the files that variables of these names with _FILE after them name,
works in one transaction, and prints one line of JSON with the number of rows in each table. Exit codes: 0 seeded; 1 the
database refused; 2 wrong arguments, environment or seed files; 3 some table has rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from autotest.config import ConfigError, database_url, secret
from autotest.database import make_engine
from autotest.models import (
    Base,
    Build,
    BuildStatus,
    Release,
    ScheduledTest,
    Team,
    TeamMember,
    TeamRole,
    TeamSettings,
    TestFramework,
    TestRun,
    User,
)
from autotest.security import NO_PASSWORD, hash_password

ADMIN_PASSWORD_MIN_LENGTH = 12
_SEED_LOCK = 0x6175746F  # any number that nothing else locks: "auto"


class NotEmpty(Exception):
    """The database already holds data."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="autotest.seed", description="Fill an empty database.")
    parser.add_argument("--with-test-data", action="store_true", help="also add teams with builds of the past weeks")
    parser.add_argument("--seed-dir", type=Path, default=_default_seed_dir(), help="where the seed files are")
    options = parser.parse_args(arguments)
    try:
        url = database_url(os.environ)
        password = _admin_password()
        default = _load(options.seed_dir / "default.json")
        test_data = _load(options.seed_dir / "test-data.json") if options.with_test_data else None
    except ConfigError as error:
        return _fail(str(error), 2)
    engine = make_engine(url, pool_size=1)
    try:
        with Session(engine) as session, session.begin():
            counts = seed(session, default, test_data, password, datetime.now(UTC))
    except NotEmpty as error:
        return _fail(str(error), 3)
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        return _fail(f"the database refused, and nothing was written: {cause}", 1)
    except (KeyError, TypeError, ValueError) as error:
        return _fail(f"the seed files in {options.seed_dir} are not as expected: {error!r}", 2)
    finally:
        engine.dispose()
    print(json.dumps(counts))
    return 0


def seed(
    session: Session, default: dict[str, Any], test_data: dict[str, Any] | None, admin_password: str, now: datetime
) -> dict[str, int]:
    """Add the rows and return how many each table has; raises NotEmpty before it writes anything.

    Only administrators get a password. Other users can sign in once an administrator has given them one.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SEED_LOCK})
    for table, rows in _counts(session).items():
        if rows:
            raise NotEmpty(f"seeding needs an empty database, but table {table} has {rows} rows; nothing was written.")
    password_hash = hash_password(admin_password)
    users: dict[str, User] = {}
    for data in (default, test_data or {}):
        for entry in data.get("users", []):
            admin = entry.get("is_admin", False)
            users[entry["email"]] = User(
                email=entry["email"],
                name=entry["name"],
                is_admin=admin,
                password_hash=password_hash if admin else NO_PASSWORD,
            )
        session.add_all(users.values())
        for entry in data.get("teams", []):
            _add_team(session, entry, users, now)
    session.flush()
    return _counts(session)


def _add_team(session: Session, entry: dict[str, Any], users: dict[str, User], now: datetime) -> None:
    days = entry.get("days", 0)
    team = Team(
        slug=entry["slug"],
        name=entry["name"],
        created_at=now - timedelta(days=days + 1),
        settings=TeamSettings(**entry.get("settings", {})),
        members=[TeamMember(user=users[email], role=TeamRole(role)) for email, role in entry["members"].items()],
    )
    session.add(team)
    session.flush()
    builds = list(_builds(team, entry, now)) if days else []
    session.add_all(builds)
    session.flush()
    _add_releases(session, team, entry, builds)
    _add_scheduled_tests(session, team, entry, builds, now)


def _builds(team: Team, entry: dict[str, Any], now: datetime) -> Iterator[Build]:
    """Make up a team's builds, oldest first: fewer at weekends, and a bad spell in the middle that is then mended.

    The same entry gives the same builds relative to `now`: the generator is seeded with the team's slug.
    """
    chance = random.Random(entry["slug"])
    run_id = entry["first_workflow_run_id"]
    suites = entry["suites"]
    for age in range(entry["days"], -1, -1):
        day = now - timedelta(days=age)
        busy = day.weekday() < 5 or age == 0
        for _ in range(chance.randint(1, entry["builds_a_day"]) if busy else chance.randint(0, 1)):
            run_id += chance.randint(900, 90_000)
            created_at = day - timedelta(minutes=chance.randint(20, 600))
            bad_spell = entry["days"] * 0.35 < age < entry["days"] * 0.5
            flaw = entry["failure_rate"] * (4 if bad_spell else 1)
            build = Build(
                team_id=team.id,
                workflow_run_id=run_id,
                branch=_default_branch(entry) if chance.random() < 0.6 else chance.choice(entry["branches"]),
                commit_sha=f"{chance.getrandbits(160):040x}",
                created_at=created_at,
            )
            if chance.random() < 0.04:
                build.status = BuildStatus.CANCELLED
                build.finished_at = created_at + timedelta(seconds=chance.randint(20, 90))
            else:
                build.test_runs = [_test_run(suite, flaw, chance) for suite in suites]
                failed = any(run.failed for run in build.test_runs)
                build.status = BuildStatus.FAILED if failed else BuildStatus.PASSED
                build.finished_at = created_at + timedelta(milliseconds=sum(run.duration_ms for run in build.test_runs))
            yield build


def _test_run(suite: dict[str, Any], flaw: float, chance: random.Random) -> TestRun:
    tests = suite["tests"]
    failed = chance.randint(1, max(1, tests // 8)) if chance.random() < flaw else 0
    skipped = chance.randint(0, tests // 40)
    return TestRun(
        suite=suite["name"],
        framework=TestFramework(suite["framework"]),
        passed=tests - failed - skipped,
        failed=failed,
        skipped=skipped,
        duration_ms=int(suite["seconds"] * 1000 * chance.uniform(0.85, 1.3)),
    )


def _add_releases(session: Session, team: Team, entry: dict[str, Any], builds: list[Build]) -> None:
    """Spread the releases evenly over the default branch's builds that passed, each made as soon as its build had."""
    branch = _default_branch(entry)
    good = [build for build in builds if build.branch == branch and build.status is BuildStatus.PASSED]
    releases = entry.get("releases", [])
    for number, release in enumerate(releases, 1):
        build = good[len(good) * number // len(releases) - 1] if good else None
        moment = {"released_at": build.finished_at} if build and build.finished_at else {}
        session.add(Release(team_id=team.id, build_id=build.id if build else None, **release, **moment))


def _add_scheduled_tests(
    session: Session, team: Team, entry: dict[str, Any], builds: list[Build], now: datetime
) -> None:
    """Let each enabled scheduled test have started one of the latest builds of the team's default branch."""
    recent = [build for build in builds if build.branch == _default_branch(entry)]
    for test in entry.get("scheduled_tests", []):
        build = recent.pop() if recent and test.get("enabled", True) else None
        session.add(
            ScheduledTest(
                team_id=team.id,
                created_at=now - timedelta(days=entry.get("days", 0)),
                workflow_run_id=build.workflow_run_id if build else None,
                last_run_at=build.created_at if build else None,
                **test | {"framework": TestFramework(test["framework"])},
            )
        )


def _default_branch(entry: dict[str, Any]) -> str:
    return str(entry.get("settings", {}).get("default_branch", "main"))


def _counts(session: Session) -> dict[str, int]:
    return {
        table.name: session.scalar(select(func.count()).select_from(table)) or 0
        for table in Base.metadata.sorted_tables
    }


def _admin_password() -> str:
    password = secret(os.environ, "AUTOTEST_ADMIN_PASSWORD")
    if len(password) < ADMIN_PASSWORD_MIN_LENGTH:
        raise ConfigError(f"set AUTOTEST_ADMIN_PASSWORD to at least {ADMIN_PASSWORD_MIN_LENGTH} characters.")
    return password


def _default_seed_dir() -> Path:
    """AUTOTEST_SEED_DIR, or the directory that the source tree keeps beside the backend."""
    return Path(os.environ.get("AUTOTEST_SEED_DIR") or Path(__file__).resolve().parents[3] / "seed")


def _load(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the seed file {path}: {error.strerror}; name its directory with --seed-dir."
        ) from None
    except ValueError as error:
        raise ConfigError(f"the seed file {path} is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"the seed file {path} holds no JSON object.")
    return data


def _fail(sentence: str, code: int) -> int:
    print(f"autotest.seed: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
