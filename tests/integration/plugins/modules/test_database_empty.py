# SPDX-License-Identifier: GPL-3.0-or-later
"""A database is emptied through the module: looked at, emptied once its backup is proved, looked at, empty already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.sql import quote
from conftest import Postgres
from support import backup
from support.access import Site, make_site
from support.modules import MODULES, ROOT, run_module

pytestmark = pytest.mark.once  # what each version does is seen in module_utils/_schema

COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    found = make_site(postgres, tmp_path)
    found.access()
    found.execute(f"GRANT CREATE ON SCHEMA public TO {quote(found.roles.owner)}")
    found.execute_as(
        found.roles.owner,
        "CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2); CREATE TYPE mood AS ENUM ('good');"
        "CREATE TABLE teams ()",
    )
    return found


def run(site: Site, *, check: bool = False, **more: object) -> dict[str, Any]:
    given = {**site.postgres.login(site.database), "owner": site.roles.owner, "seedable": True, **more}
    return run_module("database_empty", given, check=check)


def test_four_runs(site: Site, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    check = run(site, check=True)
    table = {"schema": "public", "name": "users", "rows": 2, "exact": True, "hidden": ""}
    assert check["changed"]
    assert check["actions"] == ["Would drop 2 tables, 1 type with 2 rows."]
    seen = check["emptied"].pop("tables")[1]
    assert {name: seen[name] for name in table} == table
    assert check["emptied"] == {"rows": 2, "counts": "2 tables, 1 type"}
    refused = run(site, backup_directory=str(backups))["msg"]
    assert f"has no proved backup of this run in {backups}, so that it was left as it is: there is none" in str(refused)
    assert site.execute("SELECT count(*) FROM users") == [(2,)]

    backup.Site(site.postgres, site.database, backups).backup()
    [(before,)] = site.execute(COMMENT)
    done = run(site, backup_directory=str(backups))
    assert (done["changed"], done["actions"]) == (True, ["Dropped 2 tables, 1 type with 2 rows."])
    assert site.execute("SELECT to_regclass('users'), to_regtype('mood')") == [(None, None)]
    [(oid,)] = site.execute("SELECT oid::bigint FROM pg_database WHERE datname = current_database()")
    assert site.execute(COMMENT) == [(f"{before}\nslipway.seed={oid}:new",)]
    for again in (run(site, check=True), run(site, seedable=False)):
        assert (again["changed"], again["actions"]) == (False, [])


def test_killed_at_work_it_leaves_all_as_it_was(site: Site) -> None:
    """It is killed while it waits for a lock in its transaction, with half of the others taken."""
    site.execute(f"COMMENT ON DATABASE {quote(site.database)} IS 'slipway: a copy of another database; may be dropped'")
    reader = site.connect(site.roles.owner)
    with reader.cursor() as reading:
        reading.execute("BEGIN; SELECT * FROM users")
        given = {**site.postgres.login(site.database), "owner": site.roles.owner, "lock_timeout": "60s"}
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE%'"
        killed = subprocess.Popen(
            [sys.executable, "-m", f"{MODULES}.database_empty"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        )
        assert killed.stdin
        killed.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": given}).encode())
        killed.stdin.close()
        while not site.postgres.execute(waiting):
            assert killed.poll() is None
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        reading.execute("COMMIT")
    reader.close()
    while site.postgres.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'slipway migrations'"):
        pass
    assert site.execute("SELECT count(*) FROM users") == [(2,)]
    assert run(site)["changed"]
