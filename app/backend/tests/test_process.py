# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg

from autotest.security import Vault
from conftest import SECRET_KEY, Server

SOURCE = Path(__file__).resolve().parents[1] / "src"
DEADLINE_SECONDS = 60
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND wait_event_type = 'Lock'"


def test_a_request_under_way_is_finished_before_the_process_ends(
    server: Server, database: str, sql: psycopg.Connection
) -> None:
    sql.execute(
        "INSERT INTO users (email, name, password_hash) VALUES ('ada@example.org', 'Ada', '!');"
        "INSERT INTO teams (slug, name) VALUES ('red', 'Red');"
        "INSERT INTO team_members (team_id, user_id, role) VALUES (1, 1, 'owner')"
    )
    token, _ = Vault(SECRET_KEY).issue_token(1, "!")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "autotest.main:app", "--app-dir", str(SOURCE), "--port", str(port)],
        env=os.environ | {"DATABASE_URL": server.url(database), "AUTOTEST_SECRET_KEY": SECRET_KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: answers(url), process)
        with ThreadPoolExecutor(1) as pool:
            with sql.transaction():
                sql.execute("SELECT FROM teams WHERE slug = 'red' FOR UPDATE")
                request = urllib.request.Request(f"{url}/api/v1/teams/red", method="DELETE")
                request.add_header("Authorization", f"Bearer {token}")
                under_way = pool.submit(urllib.request.urlopen, request, timeout=DEADLINE_SECONDS)
                with server.connect("postgres") as other:
                    wait_for(lambda: other.execute(WAITING).fetchone() == (1,), process)
                process.send_signal(signal.SIGTERM)
                wait_for(lambda: not answers(url), process)
            assert under_way.result().status == 204
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode in (0, -signal.SIGTERM), output
        assert sql.execute("SELECT count(*) FROM teams").fetchone() == (0,)
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=DEADLINE_SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for(condition: object, process: subprocess.Popen[str]) -> None:
    """Poll a condition to a deadline; shows the server's log when it is not met."""
    assert callable(condition)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline or process.poll() is not None:
            process.kill()
            raise AssertionError(process.communicate()[0])
        time.sleep(0.05)
