# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a database as the module tells it; test_diagnosis.py has what can be wrong at each step."""

from __future__ import annotations

from conftest import Postgres
from support.modules import run_module


def test_a_step_that_fails_is_a_result(postgres: Postgres) -> None:
    login = postgres.login("postgres")
    for check in (True, False):
        found = run_module("connection_info", login, check=check)
        assert (found["changed"], found["problem"]) == (False, "")
        assert {step["state"] for step in found["steps"]} == {"ok"}
    found = run_module("connection_info", {**login, "login_db": "none"})
    assert [step["state"] for step in found["steps"]] == ["ok"] * 5 + ["failed"] + ["not reached"] * 3
    assert found["steps"][5]["step"] == "database"
    assert found["problem"] == found["steps"][5]["told"]
    assert (found["steps"][-1]["spent"], found["steps"][-1]["seconds"]) == ("", None)
