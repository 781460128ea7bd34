# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation of the application's password, while it is asked all along; one that was cut short, and its end."""

from __future__ import annotations

import json

import psycopg2
import pytest
from e2e.conftest import Deployed
from support.environment import DATABASE, Environment

FIRST, SECOND = "autotest_app", "autotest_app_b"


def secrets(environment: Environment) -> dict[str, str]:
    kept: dict[str, str] = json.loads(environment.secrets.read_text())
    return kept


def connect(environment: Environment, login: str, password: str) -> psycopg2.extensions.connection:
    return psycopg2.connect(dbname=DATABASE, host=environment.login["host"], user=login, password=password)


def works(environment: Environment, login: str, password: str) -> bool:
    try:
        connect(environment, login, password).close()
    except psycopg2.OperationalError:
        return False
    return True


def logged_in(environment: Environment) -> set[str]:
    """What the application's sessions log in as."""
    environment.get("/api/v1/teams")
    return {name for (name,) in environment.sql("SELECT usename FROM pg_stat_activity WHERE usename ~ '_app'")}


@pytest.mark.soak
def test_rotate(deployed: Deployed) -> None:
    before = secrets(deployed)
    with deployed.asked_all_along() as troubles:
        done = deployed.play("playbooks/rotate.yml", new_secrets="app_secret_key").succeeded()
    assert troubles == []
    after = secrets(deployed)
    assert f"{SECOND}, with a new password" in done.output
    assert after["database_application"] not in done.output
    assert logged_in(deployed) == {SECOND}
    assert works(deployed, SECOND, after["database_application"])
    assert not works(deployed, FIRST, before["database_application"])
    assert after["app_secret_key_former"] == before["app_secret_key"] != after["app_secret_key"]
    assert deployed.records()[-1]["verb"] == "rotate"
    assert deployed.deploy().succeeded().recap["changed"] == 0

    # Cut short before the server knew of it: the next run ends it, with the password that is in the file.
    cut = {**after, "database_application": "p" * 40, "database_application_login": FIRST}
    deployed.secrets.write_text(json.dumps(cut))
    with deployed.asked_all_along() as troubles:
        ended = deployed.play("playbooks/rotate.yml").succeeded()
    assert troubles == []
    assert "before this run, which ended it" in ended.output
    assert secrets(deployed) == cut
    assert logged_in(deployed) == {FIRST}
    assert works(deployed, FIRST, cut["database_application"])
    assert not works(deployed, SECOND, after["database_application"])
