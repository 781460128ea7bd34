# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds, as the roles seed and verify ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read
from conftest import Postgres
from support.access import PASSWORD, Site, make_site
from support.modules import run_module


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    return make_site(postgres, tmp_path)


def test_from_nothing_to_a_fault(site: Site) -> None:
    owner = {"login_user": site.roles.owner, "login_password": PASSWORD}
    fresh = site.info(**owner)
    assert not fresh["changed"]
    assert (fresh["schema"]["empty"], fresh["schema"]["environment"], fresh["schema"]["tables"]) == (True, "", [])

    site.access()
    site.execute_as(site.roles.owner, "CREATE TABLE t (x int)")
    column = {"name": "x", "type": "integer", "required": False, "key": False}
    relations = [{"table": "public.t", "columns": [column], "references": []}]
    expected = {"schema": "public", "name": "t", "rows": 0, "exact": True, "bytes": 0, "hidden": ""}
    assert site.info(**owner)["schema"] == {
        "empty": True, "environment": "test", "rows": 0, "tables": [expected], "violations": [], "remarks": [],
        "uncounted": [], "collations": "", "relations": relations,
    }  # fmt: skip

    site.execute("INSERT INTO t VALUES (1), (2)")
    site.execute(f"GRANT CREATE ON SCHEMA public TO {quote(site.roles.application)}")
    assert site.info(**owner)["schema"] == {
        "empty": False, "environment": "test", "rows": 2, "tables": [{**expected, "rows": 2, "bytes": 8192}],
        "violations": [
            f"Role {site.roles.application} may create objects in schema public, which no migration says: REVOKE that."
        ],
        "remarks": [], "uncounted": [], "collations": "", "relations": relations,
    }  # fmt: skip


def test_errors(site: Site) -> None:
    site.access()
    role, socket = site.roles.readonly, site.postgres.socket_dir
    for password, message in {
        "not the password": (
            f"Can't connect to database {site.database!r} at {socket} as role {role!r}: connection to server on socket "
            f'"{socket}/.s.PGSQL.5432" failed: FATAL: password authentication failed for user "{role}"; if the '
            "database is new to Slipway, run a deploy first, which makes the role with its password; else correct the "
            "password."
        ),
    }.items():
        assert site.info(login_user=role, login_password=password)["msg"] == message


def test_the_history_is_told_with_it_in_one_call(site: Site, tmp_path: Path) -> None:
    site.access()
    owner = {"login_user": site.roles.owner, "login_password": PASSWORD}
    access = {"owner": site.roles.owner, "application": site.roles.application, "readonly": site.roles.readonly}
    migrations = tmp_path / "migrations" / "20250101000000_one"
    migrations.mkdir(parents=True)
    (migrations / "migration.sql").write_text("CREATE TABLE one (id int)")
    payload = read(str(migrations.parent)).payload.dump()
    files = {"path": str(migrations.parent), "_payload": payload, **site.postgres.login(site.database)}
    alone = run_module("migrations_info", {**files, **owner})
    both = run_module("migrations_info", {**files, **owner, "access": {**access, "application_password": "wrong"}})
    assert "schema" not in alone
    assert both["migrations"] == alone["migrations"]
    assert (both["migrations"]["pending"], both["problems"]) == (["20250101000000_one"], alone["problems"])
    apart = site.info(**owner, application_password="wrong")["schema"]
    assert both["schema"] == apart
    assert site.roles.application in apart["violations"][0]
