# SPDX-License-Identifier: GPL-3.0-or-later
"""A database is seeded while only its migrations have written to it, and once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import Postgres
from support.access import PASSWORD, Site, make_site
from support.modules import run_module

REFERENCE = """
    CREATE TABLE role (id int PRIMARY KEY, name text NOT NULL UNIQUE);
    INSERT INTO role VALUES (1, 'admin'), (2, 'member');
    CREATE TABLE invoice (id int PRIMARY KEY);
"""


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    """A database that Slipway has made, with rows from its migrations."""
    found = make_site(postgres, tmp_path)
    postgres.execute(f"DROP DATABASE {quoted(found)}")
    assert found.access(seedable=True)["database"]["created"]
    found.execute_as(found.roles.owner, REFERENCE)
    return found


def quoted(site: Site) -> str:
    return '"' + site.database.replace('"', '""') + '"'


def comment(site: Site) -> str:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    return str(site.execute(query)[0][0])


def mark(site: Site, state: str, *, check: bool = False, **more: object) -> dict[str, Any]:
    login = site.postgres.login(site.database) | {"login_user": site.roles.owner, "login_password": PASSWORD}
    found = run_module("seed_mark", {**login, "state": state, **more}, check=check)
    assert not found["changed"], found
    return found["seed"]


def test_a_new_database_with_rows_of_its_migrations_is_seeded_once(site: Site) -> None:
    before = comment(site)
    assert mark(site, "started", check=True)["due"]
    assert comment(site) == before
    assert mark(site, "started")["due"]
    assert not site.access(seedable=True)["changed"]
    # The command was cut off before its commit.
    started = mark(site, "started")
    assert (started["due"], started["why"]) == (True, "its rows are those that its migrations wrote")
    assert not mark(site, "started", fresh=False)["due"]
    # The run was cut off after it.
    site.execute("INSERT INTO invoice VALUES (1)")
    why = "these tables hold rows: public.invoice (1), public.role (2)"
    found = mark(site, "started", before=started["digest"])
    assert (found["due"], found["wrote"]) == (False, True)
    assert found["why"] == f"an earlier run has seeded it: {why}"
    assert mark(site, "started")["why"] == why
    assert site.access()["changed"] is False


def test_once_it_is_seeded_it_is_new_no_more(site: Site) -> None:
    digest = mark(site, "started")["digest"]
    assert not mark(site, "done", before=digest)["wrote"]
    assert not mark(site, "started")["due"]
    site.execute("TRUNCATE role")
    assert mark(site, "started")["due"]


def test_a_mark_in_a_copied_comment_says_nothing(site: Site) -> None:
    assert "slipway.seed=" in comment(site)
    site.execute(f"COMMENT ON DATABASE {quoted(site)} IS 'slipway.environment=test\nslipway.seed=1:new'")
    assert not mark(site, "started")["due"]
