# SPDX-License-Identifier: GPL-3.0-or-later
"""Role migrations applies and undoes nothing that it can't rehearse, or without a proved backup, whoever calls it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.databases import MARK
from conftest import Postgres
from support.migrations import Bed
from support.release import ansible

pytestmark = pytest.mark.once


def call(home: Path, variables: dict[str, object], login: dict[str, Any], *entries: str) -> str:
    """Call entry points of the role one after the other, which must end in a failure, and return what was said."""
    roles = [
        {"name": "Call it", "ansible.builtin.include_role": {"name": "slipway.deploy.migrations", "tasks_from": entry}}
        for entry in entries
    ]  # fmt: skip
    play = {"name": "Call the role", "hosts": "localhost", "gather_facts": False, "tasks": roles,
            "vars": {"ansible_python_interpreter": sys.executable, **variables},
            "module_defaults": {"group/slipway.deploy.postgres": login}}  # fmt: skip
    (home / "play.yml").write_text(json.dumps([play]))
    done = ansible(home, "ansible-playbook", "-i", "localhost,", "-c", "local", str(home / "play.yml"))
    assert done.returncode != 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("entry", ["main", "undo"])
@pytest.mark.parametrize("copy", ["", "shop"], ids=["no copy", "the database itself"])
def test_it_insists_on_a_copy_to_rehearse_on(tmp_path: Path, entry: str, copy: str) -> None:
    variables = {
        "migrations_path": str(tmp_path),
        "migrations_admin_login": {"login_user": "postgres", "login_db": "shop"},
        "migrations_rehearsal_database": copy,
    }
    assert (
        "There is no copy of the database to rehearse on, so nothing was applied: migrations_rehearsal_database must "
        "name the scratch database of this run's backup."
    ) in call(tmp_path, variables, {}, entry)


@pytest.mark.parametrize(("find", "entry"), [("pending", "main"), ("to_undo", "undo")])
def test_it_insists_on_a_proved_backup(postgres: Postgres, tmp_path: Path, find: str, entry: str) -> None:
    """A copy that is there, and rehearsed on, is none."""
    bed = Bed(postgres, postgres.database(), tmp_path / "migrations")
    bed.directory.mkdir()
    bed.write("1_a", "CREATE TABLE a (id int); INSERT INTO a VALUES (1);")
    (bed.directory / "1_a" / "down.sql").write_text("DROP TABLE a;")
    bed.migrate()
    if entry == "main":
        bed.write("2_b", "DROP TABLE a;")
    before = (bed.rows(), bed.sql("SELECT id FROM a"))
    copy = f"{bed.database}_scratch"
    postgres.execute(f"CREATE DATABASE {copy} TEMPLATE {bed.database}")
    postgres.execute(f"COMMENT ON DATABASE {copy} IS '{MARK}'")
    backups = tmp_path / "backups"
    backups.mkdir()
    login = postgres.login(bed.database)
    variables = {
        "migrations_path": str(bed.directory),
        "migrations_names": ["1_a"] if entry == "undo" else [],
        "migrations_admin_login": login,
        "migrations_rehearsal_database": copy,
        "migrations_backup_directory": str(backups),
        "migrations_bindir": str(postgres.bindir),
    }
    said = call(tmp_path, variables, login, find, entry)
    assert f"Database '{bed.database}' has no proved backup of this run in {backups}" in said
    assert (bed.rows(), bed.sql("SELECT id FROM a")) == before
    assert postgres.execute(f"SELECT datname FROM pg_database WHERE datname = '{copy}'") == []  # it was rehearsed on


def test_a_lock_that_the_live_database_could_not_bear_stops_it(postgres: Postgres, tmp_path: Path) -> None:
    """By the size of the live table, since that of the copy is empty."""
    bed = Bed(postgres, postgres.database(), tmp_path / "migrations")
    bed.directory.mkdir()
    bed.write("1_a", "CREATE TABLE a (id int);")
    bed.migrate()
    copy = f"{bed.database}_scratch"
    postgres.execute(f"CREATE DATABASE {copy} TEMPLATE {bed.database}")
    postgres.execute(f"COMMENT ON DATABASE {copy} IS '{MARK}'")
    bed.sql("INSERT INTO a SELECT generate_series(1, 9999)")
    bed.write("2_b", "ALTER TABLE a ADD b int; SELECT pg_sleep(0.1);")
    before = (bed.rows(), bed.sql("SELECT count(*) FROM a"))
    login = postgres.login(bed.database)
    variables = {
        "migrations_path": str(bed.directory),
        "migrations_admin_login": login,
        "migrations_rehearsal_database": copy,
        "migrations_live_login": {"login_unix_socket": login["login_unix_socket"], "login_db": bed.database},
        "migrations_policy": {"blocking": "deny"},
        "migrations_blocking_limits": {"seconds": 0.05, "megabytes": 0.1},
    }
    said = call(tmp_path, variables, login, "pending", "main")
    assert "The migration '2_b', rehearsed on a copy, holds ACCESS EXCLUSIVE on the table public.a (" in said
    assert "kB, 0.0 statements a second) for 0." in said
    assert "set migrations_policy: {blocking: warn}, or add to migrations_waivers for one migration" in said
    assert (bed.rows(), bed.sql("SELECT count(*) FROM a")) == before
    assert postgres.execute(f"SELECT datname FROM pg_database WHERE datname = '{copy}'") == []
