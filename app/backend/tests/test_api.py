# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from autotest.config import Settings
from autotest.security import SESSION_LIFETIME, Limiter, Vault
from autotest.server import create_app
from conftest import BACKEND, PASSWORD, SECRET_KEY, SignIn

# What the API does depends on the migrations, which are tested on both versions, and not on the server.
pytestmark = pytest.mark.parametrize("server", ["pginstall18"], indirect=True, ids=["pg18"])

API = "/api/v1"
BUILD = {"branch": "main", "commit_sha": "0123abc"}


def status(client: TestClient, method: str, path: str, body: Any = None) -> int:
    return client.request(method, API + path, json=body).status_code


def new(client: TestClient, path: str, body: Any) -> dict[str, Any]:
    answer = client.post(API + path, json=body)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


@pytest.fixture
def owner(sign_in: SignIn) -> TestClient:
    """The owner of team `red`."""
    client = sign_in("olga")
    new(client, "/teams", {"slug": "red", "name": "Red team"})
    return client


@pytest.fixture
def member(owner: TestClient, sign_in: SignIn) -> TestClient:
    client = sign_in("mia")
    new(owner, "/teams/red/members", {"email": "mia@example.org"})
    return client


@pytest.fixture
def stranger(sign_in: SignIn) -> TestClient:
    return sign_in("sam")


# Probes, headers, documentation, page


def test_every_answer_names_the_release(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json", f"{API}/teams", f"{API}/teams/none", "/nowhere"):
        assert client.get(path).headers["X-Release"] == "r42", path


def test_an_unexpected_failure_is_json_without_details(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("autotest.server.why_not_ready", fail)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["X-Release"]) == (500, "r42")
    assert answer.json() == {"detail": "Something went wrong; the server's log says what."}


def test_docs_show_every_route_and_need_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    assert all(path in page for path in client.get("/openapi.json").json()["paths"])
    assert not re.search(r"<script|https?://", page)


def test_the_page_is_served_when_asked_for(settings: Settings) -> None:
    frontend = BACKEND.parent / "frontend"
    client = TestClient(create_app(replace(settings, frontend_dir=frontend)))
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>autotest</title>" in page.text
    assert "javascript" in client.get("/app.js").headers["content-type"]
    assert client.get("/healthz").json()["release"] == "r42"
    assert client.get("/../backend/requirements.in").status_code == 404


# Signing in


def test_sign_in(owner: TestClient) -> None:
    me = owner.get(f"{API}/me").json()
    assert (me["email"], me["teams"]) == ("olga@example.org", [{"team": "red", "role": "owner"}])
    assert "password_hash" not in me


def test_wrong_credentials_look_the_same(client: TestClient, owner: TestClient) -> None:
    answers = [
        client.post(f"{API}/sessions", json={"email": email, "password": "wrong"})
        for email in ("olga@example.org", "nobody@example.org")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json() == {"detail": "The e-mail address or the password is wrong."}


def test_tokens_that_do_not_count(client: TestClient, owner: TestClient, sql: psycopg.Connection) -> None:
    vault = Vault(SECRET_KEY)
    (password_hash,) = sql.execute("SELECT password_hash FROM users WHERE id = 1").fetchone()
    good, expires_at = vault.issue_token(1, password_hash)
    assert timedelta() <= datetime.now(UTC) + SESSION_LIFETIME - expires_at < timedelta(seconds=5)
    past = int((datetime.now(UTC) - SESSION_LIFETIME - timedelta(seconds=1)).timestamp())
    expired = vault._sessions.encrypt_at_time(f"1:{vault._digest(password_hash)}".encode(), past).decode()
    forged, _ = Vault("another key, also of thirty-two characters").issue_token(1, password_hash)
    earlier, _ = vault.issue_token(1, "another hash")
    without = vault._sessions.encrypt(b"1").decode()
    tokens = {
        earlier: 401,
        without: 401,
        good: 200,
        expired: 401,
        forged: 401,
        good[:-4]: 401,
        "": 401,
        "x": 401,
        vault.encrypt("1"): 401,
    }
    for token, code in tokens.items():
        answer = client.get(f"{API}/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == code, token
    assert client.get(f"{API}/me").headers["WWW-Authenticate"] == "Bearer"
    sql.execute("DELETE FROM users WHERE id = 1")
    assert status(owner, "GET", "/me") == 401


def test_users_and_passwords(client: TestClient, sign_in: SignIn, stranger: TestClient) -> None:
    admin = sign_in("root", is_admin=True)
    body = {"email": "New@Example.org", "name": "New", "password": "twelve or more"}
    assert status(stranger, "POST", "/users", body) == 403
    created = new(admin, "/users", body)
    assert (created["email"], created["is_admin"]) == ("new@example.org", False)
    assert status(admin, "POST", "/users", body) == 409
    assert status(stranger, "PUT", f"/users/{created['id']}/password", {"password": "another password"}) == 403
    assert status(admin, "PUT", f"/users/{created['id']}/password", {"password": "another password"}) == 204
    assert status(admin, "PUT", "/users/999/password", {"password": "another password"}) == 404
    assert status(client, "POST", "/sessions", {"email": "NEW@example.org", "password": "another password"}) == 201


def test_tokens_end_with_the_password(client: TestClient, owner: TestClient) -> None:
    assert status(owner, "PUT", "/users/1/password", {"password": "another password"}) == 204
    assert status(owner, "GET", "/me") == 401
    assert status(client, "POST", "/sessions", {"email": "olga@example.org", "password": "another password"}) == 201


def test_sign_out_ends_every_token(client: TestClient, owner: TestClient, stranger: TestClient) -> None:
    credentials = {"email": "olga@example.org", "password": PASSWORD}
    token = client.post(f"{API}/sessions", json=credentials).json()["token"]
    assert status(owner, "POST", "/sessions/end", {"password": "wrong"}) == 403
    assert status(client, "POST", "/sessions/end", {"password": PASSWORD}) == 401
    assert status(owner, "POST", "/sessions/end", {"password": PASSWORD}) == 204
    assert status(owner, "GET", "/me") == 401
    assert client.get(f"{API}/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert status(stranger, "GET", "/me") == 200
    assert status(client, "POST", "/sessions", credentials) == 201


def test_attempts_that_fail_are_limited(client: TestClient, owner: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    state = client.app.state._state  # the dict behind it: undone as attributes, what was set would be gone
    monkeypatch.setitem(state, "limiters", (Limiter(4, 60), Limiter(2, 60)))
    monkeypatch.setitem(state, "client_header", "X-Real-IP")

    def attempt(email: str, password: str, address: str) -> int:
        body = {"email": f"{email}@example.org", "password": password}
        answer = client.post(f"{API}/sessions", json=body, headers={"X-Real-IP": address})
        assert answer.status_code != 429 or 0 < int(answer.headers["Retry-After"]) <= 60
        return answer.status_code

    assert [attempt("olga", PASSWORD, "192.0.2.1") for _ in range(5)] == [201] * 5
    assert [attempt("nobody", "x", "192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert attempt("nobody", "x", "192.0.2.2") == 429
    assert [attempt(f"nobody{number}", "x", "192.0.2.1") for number in range(3)] == [401, 429, 429]
    assert attempt("olga", PASSWORD, "192.0.2.2") == 201


# Rights


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/me", None),
        ("POST", "/users", {"email": "a@b", "name": "A", "password": "twelve or more"}),
        ("POST", "/teams", {"slug": "a", "name": "A"}),
        ("DELETE", "/teams/red", None),
        ("GET", "/teams/red/members", None),
        ("POST", "/teams/red/members", {"email": "sam@example.org"}),
        ("DELETE", "/teams/red/members/1", None),
        ("GET", "/teams/red/settings", None),
        ("PUT", "/teams/red/settings", {}),
        ("GET", "/teams/red/github-token", None),
        ("PUT", "/teams/red/github-token", {"token": "x" * 40}),
        ("DELETE", "/teams/red/github-token", None),
        ("POST", "/teams/red/builds", BUILD),
        ("PATCH", "/builds/1", {"status": "passed"}),
        ("POST", "/teams/red/releases", {"version": "1"}),
        ("POST", "/teams/red/scheduled-tests", {"name": "n", "suite": "s", "cron": "0 2 * * *"}),
        ("PATCH", "/scheduled-tests/1", {"enabled": False}),
        ("DELETE", "/scheduled-tests/1", None),
    ],
)
def test_who_may(
    client: TestClient, owner: TestClient, stranger: TestClient, method: str, path: str, body: Any
) -> None:
    new(owner, "/teams/red/builds", BUILD)
    new(owner, "/teams/red/scheduled-tests", {"name": "first", "suite": "s", "cron": "0 2 * * *"})
    assert status(client, method, path, body) == 401
    if "red" in path or path.endswith("/1"):
        assert status(stranger, method, path, body) == 403
        assert status(owner, method, path, body) not in (401, 403)


def test_what_the_dashboard_reads_is_public(client: TestClient, owner: TestClient) -> None:
    for path in ("/teams", "/teams/red", "/builds", "/releases", "/scheduled-tests", "/summary/pass-rate"):
        assert status(client, "GET", path) == 200, path


def test_a_member_is_no_maintainer(member: TestClient) -> None:
    assert status(member, "GET", "/teams/red/settings") == 200
    assert status(member, "PUT", "/teams/red/settings", {}) == 403
    assert status(member, "GET", "/teams/red/github-token") == 403
    assert status(member, "POST", "/teams/red/releases", {"version": "1"}) == 403
    assert status(member, "POST", "/teams/red/builds", BUILD) == 201


def test_only_owners_make_and_remove_owners(owner: TestClient, sign_in: SignIn, stranger: TestClient) -> None:
    maintainer = sign_in("max")
    new(owner, "/teams/red/members", {"email": "max@example.org", "role": "maintainer"})
    assert status(maintainer, "POST", "/teams/red/members", {"email": "sam@example.org", "role": "owner"}) == 403
    assert status(maintainer, "DELETE", "/teams/red/members/1") == 403
    assert status(maintainer, "POST", "/teams/red/members", {"email": "sam@example.org"}) == 201
    assert status(owner, "DELETE", "/teams/red") == 204


def test_an_administrator_may_everything(owner: TestClient, sign_in: SignIn) -> None:
    admin = sign_in("root", is_admin=True)
    assert status(admin, "PUT", "/teams/red/settings", {}) == 200
    assert status(admin, "DELETE", "/teams/red") == 204


# Teams


def test_teams(client: TestClient, owner: TestClient) -> None:
    team = client.get(f"{API}/teams/red").json()
    assert team["member_count"] == 1
    assert team["last_build_status"] is None
    new(owner, "/teams/red/builds", BUILD | {"status": "failed"})
    team = client.get(f"{API}/teams").json()["items"][0]
    assert (team["build_count"], team["last_build_status"]) == (1, "failed")
    answer = owner.post(f"{API}/teams", json={"slug": "red", "name": "Again"})
    assert (answer.status_code, answer.json()["detail"]) == (409, "There is already a team with this slug.")
    assert client.get(f"{API}/teams/blue").json() == {"detail": "There is no such team."}


def test_members(owner: TestClient, member: TestClient) -> None:
    people = member.get(f"{API}/teams/red/members").json()["items"]
    assert [(person["name"], person["role"]) for person in people] == [("Mia", "member"), ("Olga", "owner")]
    ids = {person["name"]: person["user_id"] for person in people}
    again = owner.post(f"{API}/teams/red/members", json={"email": "mia@example.org"})
    assert (again.status_code, again.json()["detail"]) == (409, "This user is already a member of the team.")
    assert status(owner, "POST", "/teams/red/members", {"email": "nobody@example.org"}) == 404
    last = owner.delete(f"{API}/teams/red/members/{ids['Olga']}")
    assert (last.status_code, last.json()["detail"]) == (409, "This is the team's only owner; make another one first.")
    assert status(member, "DELETE", f"/teams/red/members/{ids['Mia']}") == 204
    assert status(member, "GET", "/teams/red/members") == 403


def test_two_owners_who_leave_at_once_leave_one(owner: TestClient, sign_in: SignIn, sql: psycopg.Connection) -> None:
    other = sign_in("otto")
    new(owner, "/teams/red/members", {"email": "otto@example.org", "role": "owner"})
    with ThreadPoolExecutor(2) as pool:
        codes = pool.map(lambda who: status(who[0], "DELETE", f"/teams/red/members/{who[1]}"), [(owner, 1), (other, 2)])
        assert sorted(codes) == [204, 409]
    assert sql.execute("SELECT count(*) FROM team_members").fetchone() == (1,)


def test_settings(client: TestClient, owner: TestClient) -> None:
    assert owner.get(f"{API}/teams/red/settings").json()["pass_rate_target"] == 95
    body = {"repository": "acme/red", "default_branch": "develop", "pass_rate_target": 99}
    before = owner.get(f"{API}/teams/red/settings").json()["updated_at"]
    after = owner.put(f"{API}/teams/red/settings", json=body).json()
    assert after.pop("updated_at") > before
    assert after == body
    team = client.get(f"{API}/teams/red").json()
    assert (team["repository"], team["pass_rate_target"]) == ("acme/red", 99)
    test = new(owner, "/teams/red/scheduled-tests", {"name": "n", "suite": "s", "cron": "0 2 * * *"})
    assert test["branch"] == "develop"


def test_github_token_is_never_shown(owner: TestClient, sql: psycopg.Connection) -> None:
    token = "ghp_" + "s3cret" * 6
    assert status(owner, "GET", "/teams/red/github-token") == 404
    stored = owner.put(f"{API}/teams/red/github-token", json={"token": token})
    assert stored.json()["hint"] == token[-4:]
    assert token not in stored.text + owner.get(f"{API}/teams/red/github-token").text
    row = sql.execute("SELECT encrypted_token FROM github_tokens").fetchone()
    assert row
    assert token not in row[0]
    assert Vault(SECRET_KEY).decrypt(row[0]) == token
    assert status(owner, "PUT", "/teams/red/github-token", {"token": token}) == 200
    assert status(owner, "DELETE", "/teams/red/github-token") == 204
    assert status(owner, "DELETE", "/teams/red/github-token") == 404


def test_a_refused_token_is_not_echoed(owner: TestClient) -> None:
    for body in ({"token": "ghp_short"}, {"token": "ghp_" + "x" * 300}, {"token": ["ghp_short"]}):
        answer = owner.put(f"{API}/teams/red/github-token", json=body)
        assert answer.status_code == 422
        assert "ghp_" not in answer.text


# Builds


def test_a_build_from_start_to_end(client: TestClient, owner: TestClient) -> None:
    runs = [{"suite": "unit", "framework": "pytest", "passed": 9, "failed": 1, "skipped": 2, "duration_ms": 1500}]
    build = new(owner, "/teams/red/builds", BUILD | {"workflow_run_id": 16612000431, "test_runs": runs})
    assert (build["status"], build["finished_at"], build["passed"]) == ("queued", None, 9)
    path = f"/builds/{build['id']}"
    assert status(owner, "PATCH", path, {"test_runs": runs}) == 409
    assert status(owner, "PATCH", path, {"status": "running", "test_runs": [{"suite": "e2e", "passed": 5}]}) == 200
    done = owner.patch(API + path, json={"status": "failed"}).json()
    assert done["finished_at"] >= done["created_at"]
    assert client.get(API + path).json() == done
    assert [run["suite"] for run in done["test_runs"]] == ["unit", "e2e"]
    late = owner.patch(API + path, json={"status": "passed"})
    assert (late.status_code, late.json()["detail"]) == (409, "This build has already ended: it failed.")
    twice = owner.post(f"{API}/teams/red/builds", json=BUILD | {"workflow_run_id": 16612000431})
    assert twice.json() == {"detail": "There is already a build for this workflow run."}
    assert status(client, "GET", "/builds/999") == 404


def test_listing_builds(client: TestClient, owner: TestClient) -> None:
    new(owner, "/teams", {"slug": "blue", "name": "Blue"})
    now = datetime.now(UTC)
    for age in range(6):
        body = BUILD | {
            "branch": "main" if age < 4 else "dev",
            "status": "passed" if age % 2 else "failed",
            "created_at": (now - timedelta(hours=age)).isoformat(),
        }
        new(owner, f"/teams/{'red' if age < 5 else 'blue'}/builds", body)

    def ids(**query: Any) -> list[int]:
        return [build["id"] for build in client.get(f"{API}/builds", params=query).json()["items"]]

    assert ids() == [1, 2, 3, 4, 5, 6]
    assert ids(limit=2, offset=1) == [2, 3]
    assert ids(team="blue") == [6]
    assert ids(team="none") == []
    assert ids(status="passed", branch="main") == [2, 4]
    assert ids(since=(now - timedelta(hours=1)).isoformat()) == [1, 2]
    page = client.get(f"{API}/builds", params={"team": "red", "limit": 2}).json()
    assert (page["total"], page["limit"], page["offset"], len(page["items"])) == (5, 2, 0, 2)


def test_pass_rate_has_every_day(client: TestClient, owner: TestClient) -> None:
    noon = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
    runs = [{"suite": "unit", "passed": 3}, {"suite": "e2e", "failed": 1, "skipped": 5}]
    for age in (0, 0, 2):
        body = BUILD | {"created_at": (noon - timedelta(days=age)).isoformat(), "test_runs": runs}
        new(owner, "/teams/red/builds", body)
    new(owner, "/teams/red/builds", BUILD | {"created_at": (noon - timedelta(days=2)).isoformat()})
    summary = client.get(f"{API}/summary/pass-rate", params={"days": 4}).json()
    day = [(noon + timedelta(days=number)).date().isoformat() for number in (-2, -1, 0, 1)]
    assert summary == [
        {"day": day[0], "builds": 2, "passed": 3, "failed": 1, "pass_rate": 0.75},
        {"day": day[1], "builds": 0, "passed": 0, "failed": 0, "pass_rate": None},
        {"day": day[2], "builds": 2, "passed": 6, "failed": 2, "pass_rate": 0.75},
        {"day": day[3], "builds": 0, "passed": 0, "failed": 0, "pass_rate": None},
    ]
    assert not any(entry["builds"] for entry in client.get(f"{API}/summary/pass-rate?team=blue").json())


# Releases and scheduled tests


def test_releases(client: TestClient, owner: TestClient) -> None:
    new(owner, "/teams", {"slug": "blue", "name": "Blue"})
    passed = new(owner, "/teams/red/builds", BUILD | {"status": "passed"})["id"]
    failed = new(owner, "/teams/red/builds", BUILD | {"status": "failed"})["id"]
    assert new(owner, "/teams/red/releases", {"version": "1.0", "build_id": passed})["build_id"] == passed
    assert status(owner, "POST", "/teams/red/releases", {"version": "1.0"}) == 409
    assert status(owner, "POST", "/teams/red/releases", {"version": "1.1", "build_id": failed}) == 409
    assert status(owner, "POST", "/teams/blue/releases", {"version": "1.0", "build_id": passed}) == 404
    assert [release["version"] for release in client.get(f"{API}/releases?team=red").json()["items"]] == ["1.0"]


def test_scheduled_tests(client: TestClient, owner: TestClient) -> None:
    body = {"name": "Nightly", "suite": "e2e", "framework": "playwright", "cron": "*/5 0-6,22 * * 1-5"}
    test = new(owner, "/teams/red/scheduled-tests", body)
    assert status(owner, "POST", "/teams/red/scheduled-tests", body) == 409
    path = f"/scheduled-tests/{test['id']}"
    run = owner.patch(API + path, json={"workflow_run_id": 7}).json()
    assert run["last_run_at"]
    assert run["last_build_status"] is None
    build = new(owner, "/teams/red/builds", BUILD | {"workflow_run_id": 7, "status": "passed"})
    shown = client.get(f"{API}/scheduled-tests").json()["items"][0]
    assert (shown["last_build_id"], shown["last_build_status"]) == (build["id"], "passed")
    assert owner.patch(API + path, json={"enabled": False}).json()["enabled"] is False
    other = new(owner, "/teams/red/scheduled-tests", body | {"name": "Other"})
    assert status(owner, "PATCH", f"/scheduled-tests/{other['id']}", {"workflow_run_id": 7}) == 409
    assert status(owner, "DELETE", path) == 204
    assert status(owner, "DELETE", path) == 404


# Bad input


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/teams", {"slug": "Not A Slug", "name": "A"}),
        ("/teams", {"slug": "a", "name": "nul \0"}),
        ("/teams", {"slug": "a", "name": "   "}),
        ("/teams", {"slug": "a", "name": "A", "surprise": 1}),
        ("/teams/red/builds", BUILD | {"commit_sha": "not hex"}),
        ("/teams/red/builds", BUILD | {"branch": "two\nlines"}),
        ("/teams/red/builds", BUILD | {"workflow_run_id": 2**63}),
        ("/teams/red/builds", BUILD | {"status": "exploded"}),
        ("/teams/red/builds", BUILD | {"created_at": "2999-01-01T00:00:00Z"}),
        ("/teams/red/builds", BUILD | {"created_at": "2025-01-01T00:00:00"}),
        ("/teams/red/builds", BUILD | {"test_runs": [{"suite": "unit", "passed": 2**31}]}),
        ("/teams/red/builds", BUILD | {"test_runs": [{"suite": "unit", "failed": -1}]}),
        ("/teams/red/releases", {"version": "1", "notes": "\0"}),
        ("/teams/red/scheduled-tests", {"name": "n", "suite": "s", "cron": "every night"}),
        ("/teams/red/scheduled-tests", {"name": "n", "suite": "s", "cron": "0 2 * *"}),
        ("/users", {"email": "no address", "name": "A", "password": "twelve or more"}),
    ],
)
def test_bad_input_is_refused_before_the_database(owner: TestClient, path: str, body: Any) -> None:
    assert status(owner, "POST", path, body) == 422


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "offset=-1", "status=odd", "team=%00", "branch=%00", "since=yesterday"]
)
def test_bad_filters_are_refused(client: TestClient, query: str) -> None:
    assert client.get(f"{API}/builds?{query}").status_code == 422


def test_lone_surrogates_are_refused(owner: TestClient) -> None:
    body = rb'{"slug": "a", "name": "\ud800"}'
    answer = owner.post(f"{API}/teams", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_more_requests_than_connections(client: TestClient, owner: TestClient) -> None:
    """The pool has two connections; sixty callers at once take turns instead of starving one another."""
    new(owner, "/teams/red/builds", BUILD)
    with ThreadPoolExecutor(60) as pool:
        codes = set(pool.map(lambda _: status(owner, "GET", "/me"), range(120)))
    assert codes == {200}
