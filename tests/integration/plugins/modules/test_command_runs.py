# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ``command_runs``: four runs, and a role that may not."""

from __future__ import annotations

from conftest import Postgres
from support.modules import run_module


def test_four_runs(postgres: Postgres) -> None:
    database = postgres.database()
    postgres.execute("CREATE ROLE noting_app")
    given = {**postgres.login(database), "application": "noting_app"}
    there = "SELECT has_table_privilege('noting_app', to_regclass('slipway.command_runs'), 'INSERT')"
    checked = run_module("command_runs", given, check=True)
    assert checked["actions"] == ["Made table slipway.command_runs, for noting_app to write to."]
    assert postgres.execute(there, database) == [(None,)]
    done = run_module("command_runs", given)
    assert (done["changed"], done["actions"]) == (True, checked["actions"])
    assert postgres.execute(there, database) == [(True,)]
    assert not run_module("command_runs", given, check=True)["changed"]
    assert not run_module("command_runs", given)["changed"]


def test_who_may_not_make_it_is_told(postgres: Postgres) -> None:
    database = postgres.database()
    postgres.execute("CREATE ROLE noting_nobody LOGIN PASSWORD 'hunter2'")
    login = {**postgres.login(database), "login_user": "noting_nobody", "login_password": "hunter2"}
    said = run_module("command_runs", {**login, "application": "noting_nobody"})["msg"]
    assert said.startswith(f"Making the table of runs in database '{database}' as role 'noting_nobody' failed: ")
