# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from autotest import seed
from autotest.models import Base
from conftest import Server

PASSWORD = "correct horse battery"
DEFAULT = dict.fromkeys(Base.metadata.tables, 0) | {"users": 2, "teams": 1, "team_members": 2, "team_settings": 1}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, server: Server, database: str) -> None:
    monkeypatch.setenv("DATABASE_URL", server.url(database))
    monkeypatch.setenv("AUTOTEST_ADMIN_PASSWORD", PASSWORD)
    monkeypatch.delenv("AUTOTEST_SEED_DIR", raising=False)


def count(sql: psycopg.Connection) -> dict[str, int]:
    return {table: sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in Base.metadata.tables}


def test_default_data(sql: psycopg.Connection, client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed.main([]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == count(sql) == DEFAULT
    signed_in = client.post("/api/v1/sessions", json={"email": "admin@autotest.example", "password": PASSWORD})
    assert signed_in.json()["user"]["is_admin"]
    for password in (PASSWORD, "!", ""):
        other = client.post("/api/v1/sessions", json={"email": "ci@autotest.example", "password": password})
        assert other.status_code == 401


def test_test_data(sql: psycopg.Connection, client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed.main(["--with-test-data"]) == 0
    counts = count(sql)
    assert json.loads(capsys.readouterr().out) == counts
    assert counts["teams"] == 5
    assert counts["builds"] > 200
    assert counts["test_runs"] > counts["builds"]
    assert sql.execute("SELECT max(greatest(created_at, finished_at)) < now() FROM builds").fetchone() == (True,)
    assert sql.execute("SELECT max(released_at) < now() FROM releases").fetchone() == (True,)
    assert sum(day["builds"] for day in client.get("/api/v1/summary/pass-rate?days=60").json()) == counts["builds"]
    shown = client.get("/api/v1/scheduled-tests").json()["items"]
    assert all(test["last_build_status"] for test in shown if test["enabled"])


def test_the_same_moment_gives_the_same_data(server: Server, client: TestClient) -> None:
    default, test_data = (
        json.loads((seed._default_seed_dir() / name).read_text()) for name in ("default.json", "test-data.json")
    )
    seen = []
    for _ in range(2):
        with client.app.state.sessions() as session:
            seed.seed(session, default, test_data, PASSWORD, datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
            query = "SELECT commit_sha, status, created_at, finished_at FROM builds ORDER BY id"
            seen.append(session.connection().exec_driver_sql(query).all())
            session.rollback()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("arguments", [[], ["--with-test-data"]])
def test_a_second_time_it_refuses(
    sql: psycopg.Connection, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert seed.main([]) == 0
    before = count(sql)
    capsys.readouterr()
    assert seed.main(arguments) == 3
    assert capsys.readouterr() == (
        "",
        "autotest.seed: seeding needs an empty database, but table teams has 1 rows; nothing was written.\n",
    )
    assert count(sql) == before


def test_a_single_row_anywhere_is_enough(sql: psycopg.Connection) -> None:
    sql.execute("INSERT INTO users (email, name, password_hash) VALUES ('ada@example.org', 'Ada', '!')")
    assert seed.main([]) == 3


def test_it_is_one_transaction(sql: psycopg.Connection, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = [{"email": "ada@example.org", "name": "Ada"}]
    teams = [{"slug": "good", "name": "Good", "members": {}}, {"slug": "NOT GOOD", "name": "Bad", "members": {}}]
    (tmp_path / "default.json").write_text(json.dumps({"users": users, "teams": teams}))
    assert seed.main(["--seed-dir", str(tmp_path)]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not any(count(sql).values())


def test_wrong_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert seed.main(["--seed-dir", str(tmp_path)]) == 2
    (tmp_path / "default.json").write_text('{"teams": [{"slug": "a"}]}')
    assert seed.main(["--seed-dir", str(tmp_path)]) == 2
    monkeypatch.setenv("AUTOTEST_ADMIN_PASSWORD", "short")
    assert seed.main([]) == 2
    monkeypatch.delenv("DATABASE_URL")
    assert seed.main([]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in lines] == [
        f"autotest.seed: cannot read the seed file {tmp_path / 'default.json'}: No such file or directory",
        f"autotest.seed: the seed files in {tmp_path} are not as expected: KeyError('name')",
        "autotest.seed: set AUTOTEST_ADMIN_PASSWORD to at least 12 characters.",
        "autotest.seed: DATABASE_URL is not set",
    ]
