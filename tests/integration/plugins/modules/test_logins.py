# SPDX-License-Identifier: GPL-3.0-or-later
"""Two logins of the application's role, by what they can do on a real server: made, used side by side, closed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from conftest import Postgres
from support.access import PASSWORD, Site, make_site
from support.modules import run_module

NEXT = "the-next-login's-password"


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    """A database whose application's role has a setting of its own in it, and a limit."""
    found = make_site(postgres, tmp_path)
    found.access()
    app = quote(found.roles.application)
    found.execute(f"ALTER ROLE {app} SET statement_timeout TO '77s'")
    found.execute(f"""ALTER ROLE {app} IN DATABASE {quote(found.database)} SET search_path TO "$user", 'public'""")
    found.execute(f"ALTER ROLE {app} CONNECTION LIMIT 7")
    found.execute_as(found.roles.owner, "CREATE TABLE kept (id int)")
    return found


def rotate(site: Site, login: str, password: str, *, check: bool = False) -> list[str]:
    """What is done so that the next release can log in so, and nothing the second time."""
    told = {"application_login": login, "application_password": password}
    done = site.access(check=check, **told)
    if not check:
        assert not site.access(check=True, **told)["changed"]
        assert not site.access(**told)["changed"]
    actions: list[str] = done["actions"]
    return actions


def test_they_take_turns(site: Site) -> None:
    app, login = site.roles.application, f"{site.roles.application}_b"
    both = {**site.postgres.login(site.database), "logins": [app, login]}
    rights = site.rights
    with contextlib.closing(site.connect(app)) as serving, serving.cursor() as cursor:
        assert rotate(site, login, NEXT, check=True)[0] == f"Created role {login}."
        assert rotate(site, login, NEXT) == [
            f"Created role {login}.",
            f"Made {login} a member of {app}.",
            f"Gave {login} the limit of connections of {app}.",
            f"Gave {login} the role of {app}.",
            f"Gave {login} the search_path of {app}.",
            f"Gave {login} the statement_timeout of {app}.",
        ]
        # Rights, objects and what is set in the database are as they were, and what serves goes on.
        assert site.rights == rights
        site.connect(app).close()
        with contextlib.closing(site.postgres.connect(site.database, login, NEXT)) as other, other.cursor() as asked:
            asked.execute("INSERT INTO kept VALUES (1)")
            asked.execute("SELECT current_user, session_user, current_setting('search_path')")
            assert asked.fetchone() == (app, login, '"$user", public')
            asked.execute("RESET ROLE; SELECT current_user, current_setting('statement_timeout')")
            assert asked.fetchone() == (app, "77s")
        # The serving one has a session: it is told, and stays as it is.
        looked = run_module("logins", {**both, "login": login}, check=True)
        assert (looked["changed"], looked["others"]) == (True, [app])
        cursor.execute("SELECT pg_backend_pid()")
        refused = run_module("logins", {**both, "login": login, "patience": 0})["msg"]
        assert refused.startswith(f"Login {app} still has 1 session, so that it was not closed and its password is")
        assert f"process {cursor.fetchone()[0]} in database {site.database} from " in refused
        site.connect(app).close()
    assert run_module("logins", {**both, "login": login})["actions"] == [f"Closed login {app}."]
    again = run_module("logins", {**both, "login": login})
    assert (again["changed"], again["others"]) == (False, [])
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        site.connect(app)
    assert site.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{app.replace(chr(39), chr(39) * 2)}'") == [
        (None,)
    ]
    assert site.info(application_login=login, application_password=NEXT)["schema"]["violations"] == []
    assert site.info(application_password=NEXT)["schema"]["violations"] != []

    # And back, with what was set for the role meanwhile.
    assert rotate(site, app, PASSWORD) == [f"Made role {app} LOGIN.", f"Changed the password of role {app}."]
    assert run_module("logins", {**both, "login": app})["actions"] == [f"Closed login {login}."]
    site.execute(f"ALTER ROLE {quote(app)} RESET statement_timeout")
    assert rotate(site, login, NEXT) == [
        f"Made role {login} LOGIN.",
        f"Changed the password of role {login}.",
        f"Took from {login} its own statement_timeout.",
    ]
    assert run_module("logins", {**both, "login": login})["actions"] == [f"Closed login {app}."]
    site.postgres.connect(site.database, login, NEXT).close()


def test_a_new_database_has_a_role_that_nobody_logs_in_as(postgres: Postgres, tmp_path: Path) -> None:
    site = make_site(postgres, tmp_path)
    postgres.execute(f"DROP DATABASE {quote(site.database)}")
    for role in (site.roles.owner, site.roles.application, site.roles.readonly):
        postgres.execute(f"DROP ROLE {quote(role)}")
    app, login = site.roles.application, f"{site.roles.application}_b"
    actions = rotate(site, login, NEXT)
    assert {f"Created role {app}.", f"Created role {login}."} <= set(actions)
    both = {**site.postgres.login(site.database), "logins": [app, login], "login": login}
    assert run_module("logins", both)["others"] == []
    site.postgres.connect(site.database, login, NEXT).close()


def test_an_administrator_who_is_no_superuser(postgres: Postgres, tmp_path: Path) -> None:
    """As on a managed server, where verifiers can't be read: back and forth."""
    site = Site(postgres, f"{postgres.database()}_managed", tmp_path)
    admin = f"{site.database}_admin"
    postgres.execute(f"CREATE ROLE {admin} LOGIN CREATEDB CREATEROLE PASSWORD 'the-administrator'")
    own = {"login_user": admin, "login_password": "the-administrator"}
    assert site.access(**own).get("msg") is None
    app, login = site.roles.application, f"{site.roles.application}_b"
    for turn, other, password in ((login, app, NEXT), (app, login, "the-third-password"), (login, app, PASSWORD)):
        told = {**own, "application_login": turn, "application_password": password}
        assert site.access(**told).get("msg") is None
        assert not site.access(**told)["changed"]
        closed = {**postgres.login(site.database), **own, "logins": [app, login], "login": turn}
        assert run_module("logins", closed)["actions"] == [f"Closed login {other}."]
        assert not site.access(**told)["changed"]
        with contextlib.closing(postgres.connect(site.database, turn, password)) as opened, opened.cursor() as cursor:
            cursor.execute("SELECT current_user, session_user")
            assert cursor.fetchone() == (app, turn)
