# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds, as the roles seed and verify ask for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from access_support import PASSWORD, Site, make_site
from ansible_collections.slipway.deploy.plugins.module_utils._access import quote
from conftest import Postgres


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    return make_site(postgres, tmp_path)


def test_from_nothing_to_a_fault(site: Site) -> None:
    owner = {"login_user": site.roles.owner, "login_password": PASSWORD, "schemas": ["public"]}
    fresh = site.info(**owner)
    assert not fresh["changed"]
    assert (fresh["schema"]["empty"], fresh["schema"]["environment"], fresh["schema"]["tables"]) == (True, "", [])

    site.access()
    site.execute_as(site.roles.owner, "CREATE TABLE t (x int)")
    expected = {"schema": "public", "name": "t", "rows": 0, "exact": True, "bytes": 0}
    assert site.info(**owner)["schema"] == {
        "empty": True, "environment": "test", "rows": 0, "tables": [expected], "violations": [],
    }  # fmt: skip

    site.execute("INSERT INTO t VALUES (1), (2)")
    site.execute(f"GRANT TRUNCATE ON t TO {quote(site.roles.application)}")
    assert site.info(**owner)["schema"] == {
        "empty": False, "environment": "test", "rows": 2, "tables": [{**expected, "rows": 2, "bytes": 8192}],
        "violations": [f"Role {site.roles.application} has TRUNCATE on public.t."],
    }  # fmt: skip


def test_errors(site: Site) -> None:
    site.access()
    site.execute("CREATE TABLE t ()")
    site.execute(f"REVOKE ALL ON t FROM {quote(site.roles.readonly)}")
    role, socket = site.roles.readonly, site.postgres.socket_dir
    for password, message in {
        PASSWORD: f"Reading database {site.database!r} as role {role!r} failed: permission denied for table t.",
        "not the password": (
            f"Can't connect to database {site.database!r} at {socket} as role {role!r}: connection to server on socket "
            f'"{socket}/.s.PGSQL.5432" failed: FATAL: password authentication failed for user "{role}"; check that the '
            "server runs and that the login_* settings name it."
        ),
    }.items():
        assert site.info(login_user=role, login_password=password)["msg"] == message
