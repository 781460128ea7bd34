# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a database is, told by its mark, by what the host remembers, or by the operator, and never assumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from conftest import Postgres
from support.modules import run_module

OTHER = (
    "Database {0} belongs to environment prod but this inventory is local: nothing was changed; use the right "
    "inventory, or the right server in this one."
)
REMEMBERED = (
    "{1}/database.json says that the database belongs to environment 'prod' but this inventory is 'local': nothing was "
    "changed; use the right inventory, or the right state directory in this one."
)
UNKNOWN = (
    "Which environment database {0} belongs to is not known, since {1}/database.json does not say and the database "
    "can't ({2}): nothing was changed; start its server by a deploy, or confirm by -e confirm=local that it is of "
    "local."
)
UNMARKED = "it carries no environment's name"


@pytest.mark.parametrize("stopped", [False, True], ids=["must run", "may be stopped"])
@pytest.mark.parametrize(
    ("mark", "remembered", "message"),
    [
        ("local", "local", ""),
        ("local", "", ""),
        ("local", None, ""),
        ("", "local", ""),
        ("prod", "local", OTHER),
        ("prod", None, OTHER),
        ("prod", "prod", OTHER),
        ("local", "prod", REMEMBERED),
    ],
)
def test_server_that_runs(
    postgres: Postgres, tmp_path: Path, mark: str, remembered: str | None, message: str, stopped: bool
) -> None:
    database = postgres.database()
    if mark:
        postgres.execute(f"COMMENT ON DATABASE {database} IS 'the shop\nslipway.environment={mark}'")
    found = check(postgres.login(database), tmp_path, remembered, stopped=stopped)
    if message:
        assert found["msg"] == message.format(database, tmp_path)
    else:
        assert (found["changed"], found["environment"]) == (False, "local")


def test_database_without_a_mark(postgres: Postgres, tmp_path: Path) -> None:
    """One that is adopted has none yet; where it would be deleted, it has to be named."""
    database = postgres.database()
    login = postgres.login(database)
    assert check(login, tmp_path, None)["environment"] == ""
    assert check(login, tmp_path, None, stopped=True)["environment"] == ""  # nothing was ever deployed here
    assert check(login, tmp_path, "")["environment"] == ""
    assert check(login, tmp_path, "", stopped=True)["msg"] == UNKNOWN.format(database, tmp_path, UNMARKED)
    assert check(login, tmp_path, "", stopped=True, confirmed=True)["environment"] == ""


@pytest.mark.once
@pytest.mark.parametrize(
    ("trace", "remembered", "known"),
    [
        ("", None, True),
        ("", "local", True),
        ("", "", False),
        ("postgres", None, False),
    ],
)
def test_server_that_is_stopped(tmp_path: Path, trace: str, remembered: str | None, known: bool) -> None:
    login = {"login_unix_socket": str(tmp_path), "login_user": "shop_owner", "login_db": "shop"}
    if trace:
        (tmp_path / trace).mkdir()
    assert "Can't connect to database 'shop'" in check(login, tmp_path, remembered)["msg"]
    found = check(login, tmp_path, remembered, stopped=True)
    if known:
        assert found["environment"] == (remembered or "")
    else:
        assert found["msg"].startswith(
            UNKNOWN.format("shop", tmp_path, "Can't connect to database 'shop'").split(")")[0]
        )
        assert check(login, tmp_path, remembered, stopped=True, confirmed=True)["environment"] == ""
    assert check(login, tmp_path, "prod", stopped=True, confirmed=True)["msg"] == REMEMBERED.format("shop", tmp_path)


@pytest.mark.once
@pytest.mark.parametrize(
    ("status", "environment", "found"),
    [
        ("failed", "prod", ""),
        ("succeeded", "local", "local"),
        (
            "succeeded",
            "prod",
            "{0}/deployments.jsonl says that the last run here was of environment 'prod' but this inventory is "
            "'local': nothing was changed; use the right inventory, or the right state directory in this one.",
        ),
    ],
)
def test_what_the_runs_before_tell(tmp_path: Path, status: str, environment: str, found: str) -> None:
    """After a teardown that deleted the data, too, nothing else is left to ask."""
    (tmp_path / "deployments.jsonl").write_text(
        json.dumps({"status": status, "run": {"environment": environment}}) + "\n"
    )
    login = {"login_unix_socket": str(tmp_path), "login_user": "shop_owner", "login_db": "shop"}
    told = check(login, tmp_path, None, stopped=True)
    assert told.get("environment", told.get("msg")) == found.format(tmp_path)


def check(login: dict[str, object], directory: Path, remembered: str | None, **more: object) -> dict[str, Any]:
    """Run the module for `local`; the file says ``remembered``, is of an older version ('') or is not there (None)."""
    if remembered is not None:
        facts = {"system_identifier": "1", **({"environment": remembered} if remembered else {})}
        (directory / "database.json").write_text(json.dumps(facts))
    return run_module("environment_check", {**login, **own(directory), **more})


def own(directory: Path) -> dict[str, object]:
    """The module's own arguments."""
    return {"environment_name": "local", "directory": str(directory)}


def left_closed(postgres: Postgres, mark: str) -> str:
    """A database as the swap of an earlier version left it when it was killed, whose owner is ``test_owner``."""
    database = postgres.database()
    if not postgres.execute("SELECT 1 FROM pg_roles WHERE rolname = 'test_owner'"):
        postgres.execute("CREATE ROLE test_owner LOGIN PASSWORD 'test_owner'")
    postgres.execute(f"ALTER DATABASE {database} OWNER TO test_owner")
    postgres.execute(f"COMMENT ON DATABASE {database} IS 'slipway.environment={mark}'")
    postgres.execute(f"CREATE DATABASE {database}_restoring")
    postgres.execute(f"COMMENT ON DATABASE {database}_restoring IS '{MARK}'")
    postgres.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    return database


def is_open(postgres: Postgres, database: str) -> object:
    [(state,)] = postgres.execute("SELECT datallowconn FROM pg_database WHERE datname = %s", parameters=[database])
    return state


@pytest.mark.parametrize("stopped", [False, True], ids=["must run", "may be stopped"])
def test_a_database_that_a_restore_left_closed(postgres: Postgres, tmp_path: Path, stopped: bool) -> None:
    """It is opened before anything else looks at it, by the administrator."""
    database = left_closed(postgres, "local")
    owner = {**postgres.login(database), "login_user": "test_owner", "login_password": "test_owner"}
    admin = {"admin_login": {"login_user": postgres.user, "login_password": postgres.password}, "stopped": stopped}
    opened = f"Opened database {database}, which a restore that was cut short left closed."

    planned = run_module("environment_check", {**owner, **own(tmp_path), **admin}, check=True)
    assert planned["actions"] == [opened.replace("Opened", "Would open")]
    assert is_open(postgres, database) is False
    done = check(owner, tmp_path, "local", **admin)
    assert (done["changed"], done["actions"], done["environment"]) == (True, [opened], "local")
    assert is_open(postgres, database) is True
    again = check(owner, tmp_path, "local", **admin)
    assert (again["changed"], again["actions"], again["environment"]) == (False, [], "local")


@pytest.mark.parametrize(
    ("mark", "remembered", "message"),
    [("prod", "local", OTHER), ("local", "prod", REMEMBERED)],
    ids=["by its mark", "by what is remembered"],
)
def test_a_database_that_is_another_environments_stays_closed(
    postgres: Postgres, tmp_path: Path, mark: str, remembered: str, message: str
) -> None:
    database = left_closed(postgres, mark)
    assert check(postgres.login(database), tmp_path, remembered)["msg"] == message.format(database, tmp_path)
    assert is_open(postgres, database) is False


def test_a_database_that_somebody_closed_stays_closed(postgres: Postgres, tmp_path: Path) -> None:
    database = left_closed(postgres, "local")
    postgres.execute(f"DROP DATABASE {database}_restoring")
    assert check(postgres.login(database), tmp_path, "local")["msg"] == (
        f"Database '{database}' accepts no connections and no restore of Slipway's was at work on it, so somebody "
        f'closed it: when that is over, open it with ALTER DATABASE "{database}" ALLOW_CONNECTIONS true and run again.'
    )
    assert is_open(postgres, database) is False


def test_nobody_is_let_in(postgres: Postgres, tmp_path: Path) -> None:
    """What keeps the role out is said, not what keeps the administrator out."""
    database = left_closed(postgres, "local")
    admin = {"login_user": postgres.user, "login_password": "changed"}
    message = check(postgres.login(database), tmp_path, "local", admin_login=admin)["msg"]
    assert f'database "{database}" is not currently accepting connections' in message
    assert (
        "slipway.deploy.backup, like every verb that writes, opens what an interrupted restore left closed" in message
    )
    missing = check(postgres.login("no_such_database"), tmp_path, "local")["msg"]
    assert 'database "no_such_database" does not exist' in missing
