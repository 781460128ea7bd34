# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``command_runs_info``."""

from __future__ import annotations

from conftest import Postgres
from support.modules import run_module


def test_the_last_runs(postgres: Postgres) -> None:
    database = postgres.database()
    given = {**postgres.login(database), "commands": ["cleanup", "report"]}
    never = ["cleanup: has not run yet", "report: has not run yet"]
    assert run_module("command_runs_info", given)["lines"] == never
    run_module("command_runs", {**postgres.login(database), "application": postgres.user})
    assert run_module("command_runs_info", given)["lines"] == never
    postgres.execute(
        "INSERT INTO slipway.command_runs VALUES"
        " ('cleanup', '2026-11-26 03:00Z', 'web1', 'r1', '2026-11-26 03:00:01Z', 1.5, 0),"
        " ('cleanup', '2026-11-27 03:00Z', 'web2', 'r2', '2026-11-27 03:00:01Z', 12.4, 3)",
        database,
    )
    found = run_module("command_runs_info", given, check=True)
    assert found["lines"] == [
        "cleanup: 2026-11-27 03:00 at web2, 12 s, exit status 3, release r2",
        "report: has not run yet",
    ]
    assert found["runs"] == [
        {
            "command": "cleanup", "due": "2026-11-27T03:00:00+00:00", "host": "web2", "release": "r2",
            "started": "2026-11-27T03:00:01+00:00", "seconds": 12.4, "exit_status": 3, "working": False,
            "outcome": "exit status 3",
        }
    ]  # fmt: skip
    assert len(run_module("command_runs_info", {**given, "most": 5})["runs"]) == 2


def test_a_database_that_does_not_answer(postgres: Postgres) -> None:
    given = {**postgres.login("nowhere"), "commands": ["cleanup"]}
    failed = run_module("command_runs_info", given)["msg"]
    assert failed.startswith("Can't connect to database 'nowhere'")
    assert run_module("command_runs_info", {**given, "optional": True})["lines"] == [f"scheduled commands: {failed}"]
