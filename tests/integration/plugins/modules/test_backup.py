# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a real server: what is proved is equal, and nothing that went wrong looks like a backup."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import normalise
from conftest import Postgres
from support.backup import MODULES, ROOT, Site, contents, faulty, fill, run_module, schema_dump


def test_four_runs(site: Site) -> None:
    check = site.backup(check=True, release="1.0")
    assert check["changed"]
    assert check["actions"][0].startswith(f"Would dump database {site.database} (")
    assert site.files() == []
    assert site.databases() == []

    first = site.backup(release="1.0")
    assert first["changed"]
    backup = first["backup"]
    assert backup["proved"]
    assert backup["name"].endswith("Z_1.0")
    assert (backup["rows"], backup["tables"]) == (1000, {"public.t": 1000})
    assert backup["sequences"] == {"public.t_id_seq": {"last": 1000, "called": True}}
    assert backup["objects"] == {
        "column": 2, "constraint": 1, "index": 1, "order of columns in": 1, "owner of": 2, "rights on": 2,
        "sequence": 1, "table": 1,
    }  # fmt: skip
    assert site.files() == [f"{backup['name']}.dump", f"{backup['name']}.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in site.directory.iterdir()} == {0o600}
    assert stat.S_IMODE(site.directory.stat().st_mode) == 0o700
    assert json.loads((site.directory / f"{backup['name']}.json").read_text()) == backup
    shown = subprocess.run(["sha256sum", site.directory / backup["dump"]], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[0] == backup["sha256"]
    assert "compared 1 table, 1,000 rows, 1 sequence and 11 definitions, in " in first["actions"][-1]
    assert (first["scratch_db"], first["restored_copy"], site.databases()) == ("", {}, [])

    site.backup(check=True)
    assert len(site.files()) == 2
    site.execute("INSERT INTO t (x) VALUES ('more')")
    assert site.backup()["backup"]["schema_digest"] == backup["schema_digest"]
    assert len(site.files()) == 4


def test_the_hard_schema_and_its_scratch_copy(postgres: Postgres, tmp_path: Path) -> None:
    site = Site(postgres, 'Daten "bank" = ünï', tmp_path / "backups")
    postgres.execute('CREATE DATABASE "Daten ""bank"" = ünï"')
    fill(site)
    done = site.backup(release="feature/ünï code", keep_scratch=True)
    assert done.get("msg") is None
    assert done["backup"]["name"].endswith("Z_feature-n-code")
    scratch = done["scratch_db"]
    assert scratch == site.database + "_scratch"
    where = {"login_host": "", "login_port": 5432, "login_unix_socket": str(postgres.socket_dir), "login_db": scratch,
             "ssl_mode": "prefer", "ca_cert": None}  # fmt: skip
    assert done["restored_copy"] == {
        "location": where, "container": "", "container_socket_dir": "/var/run/postgresql"
    }  # fmt: skip
    tables = done["backup"]["tables"]
    assert (tables["public.users"], tables["public.event_2024"], tables["public.secret"]) == (490, 1, 2)
    assert tables['"Zwölf ""Affen"""."tab le"'] == 3
    assert (tables["public.parent"], tables["public.child"]) == (1, 1)
    assert done["backup"]["sequences"]["public.down"] == {"last": -5, "called": True}
    assert done["backup"]["objects"]["large objects of"] == 1

    # PostgreSQL prints some expressions in other words after a restore.
    assert [normalise(line) for line in schema_dump(postgres, scratch)] == [
        normalise(line) for line in schema_dump(postgres, site.database)
    ]
    assert contents(postgres, scratch) == contents(postgres, site.database)
    for role, enters in (("bk_owner", True), ("bk_app", False)):
        assert _can_connect(postgres, scratch, role) is enters
    settings = (
        "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = '{}'"
    )
    assert sorted(postgres.execute(settings.format(scratch))) == sorted(
        postgres.execute(settings.format(site.database))
    )

    login = {**postgres.login(site.database), "name": scratch}
    would = run_module("scratch_database", {**login, "_ansible_check_mode": True})
    assert (would["changed"], would["actions"]) == (True, [f"Would drop database {scratch}."])
    assert run_module("scratch_database", login)["actions"] == [f"Dropped database {scratch}."]
    again = run_module("scratch_database", login)
    assert (again["changed"], again["actions"]) == (False, [])
    postgres.execute('DROP DATABASE "Daten ""bank"" = ünï"')


def _can_connect(postgres: Postgres, database: str, role: str) -> bool:
    try:
        postgres.connect(database, role, role).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_a_killed_run_is_cleaned_up_by_the_next(site: Site, tmp_path: Path) -> None:
    bindir = faulty(
        site.postgres.bindir,
        tmp_path / "bin",
        "pg_restore",
        f'case "$*" in *--dbname*) "$real" "$@"; echo > {tmp_path}/reached; exec sleep 60 ;; esac; exec "$real" "$@"',
    )
    arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {**site.common, "bindir": bindir}})
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.backup"],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(arguments.encode())
    process.stdin.close()
    deadline = time.monotonic() + 30
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)

    other = site.backup()
    assert other["msg"] == f"Another backup or restore is at work in {site.directory}: run again when it has ended."
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert [name.rpartition(".")[2] for name in site.files()] == ["partial"]
    assert site.databases() == [f"{site.database}_scratch"]
    assert (site.info()["backups"], site.info()["without_manifest"]) == ([], [])

    done = site.backup()
    assert done["actions"][0].startswith("Removed 2")
    assert done["actions"][0].endswith(".dump.partial, which an interrupted run left behind.")
    assert done["actions"][1] == f"Dropped database {site.database}_scratch, which an earlier run left behind."
    assert len(site.files()) == 2


def test_a_database_that_is_not_ours_is_never_dropped(site: Site) -> None:
    name = f"{site.database}_scratch"
    site.postgres.execute(f"CREATE DATABASE {name}")
    expected = (
        f"Database '{name}' exists and does not carry Slipway's mark, so it is not touched: choose another name, "
        "or drop it yourself when nobody needs it."
    )
    assert site.backup()["msg"] == expected
    assert site.backup(check=True)["msg"] == expected
    assert run_module("scratch_database", site.postgres.login(site.database))["msg"] == expected
    assert site.databases() == [name]
    assert site.backup(scratch_db=f"{site.database}_other")["backup"]["proved"]
    same = site.backup(scratch_db=site.database)
    assert f"Database '{site.database}' exists and does not carry Slipway's mark" in same["msg"]
    site.postgres.execute(f"DROP DATABASE {name}")


def test_a_manifest_of_an_earlier_version_is_read(site: Site) -> None:
    backup = site.backup()["backup"]
    manifest = site.directory / f"{backup['name']}.json"
    known = json.loads(manifest.read_text())
    del known["content"]
    manifest.write_text(json.dumps({**known, "format": 1}))
    restored = site.restore()
    assert restored["restore"]["backup"] == backup["name"]
    assert "schema was not compared" not in " ".join(restored["actions"])
    manifest.write_text(json.dumps({**known, "schema_digest": "2:" + "0" * 64}))
    assert (
        "Its rows and sequences are as its manifest says; its schema was not compared, since the backup is of another "
        "version of Slipway or PostgreSQL, which describes a schema in other words."
    ) in site.restore()["actions"]
    manifest.write_text(json.dumps({**known, "format": 99, "unheard_of": 1}))
    assert "has format 99, but this version of Slipway reads up to 2" in site.restore()["msg"]


def test_a_role_without_superuser(site: Site, tmp_path: Path) -> None:
    """What a managed server gives: CREATEDB, and membership in the owner."""
    for statement in (
        "CREATE ROLE bk_home",
        "CREATE ROLE bk_admin LOGIN CREATEDB PASSWORD 'bk_admin'",
        "GRANT bk_home TO bk_admin",
        f"ALTER DATABASE {site.database} OWNER TO bk_home",
    ):
        site.postgres.execute(statement)
    site.execute("ALTER TABLE t OWNER TO bk_home")
    site.execute("ALTER TABLE t ENABLE ROW LEVEL SECURITY")
    # As on a server of Slipway's own, from which the backup comes: this role may not revoke it on the copy.
    site.execute("REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC")
    login = {"login_user": "bk_admin", "login_password": "bk_admin"}
    assert site.backup(**login)["backup"]["rows"] == 1000
    restored = site.restore(**login)
    assert restored.get("restore", restored)["rows"] == 1000, restored
    site.execute("CREATE TABLE hidden (x int)")
    assert "permission denied for table hidden" in site.backup(**login)["msg"]  # to pg_dump, or to who counts
    assert site.databases() == [name for name in site.databases() if "_before_restore_" in str(name)]


def test_rows_that_a_policy_hides_are_not_left_out(site: Site) -> None:
    """Neither from the owner, nor from others, nor in check mode."""
    for statement in (
        "CREATE ROLE bk_forced LOGIN CREATEDB PASSWORD 'all-by-force'",
        f"ALTER DATABASE {site.database} OWNER TO bk_forced",
    ):
        site.postgres.execute(statement)
    site.execute(
        "ALTER TABLE t OWNER TO bk_forced; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (false)"
    )
    login = {"login_user": "bk_forced", "login_password": "all-by-force"}
    assert site.backup(**login)["backup"]["rows"] == 1000  # the owner, without FORCE
    files = site.files()
    site.execute("ALTER TABLE t FORCE ROW LEVEL SECURITY")
    for check in (True, False):
        assert site.backup(check=check, **login)["msg"] == (
            "Row-level security hides rows of public.t from role 'bk_forced', so that a backup would not be complete "
            "and nothing was written: let a superuser run ALTER ROLE bk_forced BYPASSRLS, and run again."
        )
    assert (site.files(), site.databases()) == (files, [])
    site.postgres.execute("ALTER ROLE bk_forced BYPASSRLS")
    assert site.backup(**login)["backup"]["rows"] == 1000
    restored = site.restore(**login)
    assert restored.get("restore", restored)["rows"] == 1000, restored


def test_wrong_programs(site: Site, tmp_path: Path) -> None:
    other = faulty(site.postgres.bindir, tmp_path / "bin", "pg_dump", "")
    (tmp_path / "bin" / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 12.22'\n")
    version = site.postgres.version
    assert site.backup(bindir=other)["msg"] == (
        f"The server is PostgreSQL {version}, but its client program says 'pg_dump (PostgreSQL) 12.22': install the "
        f"package postgresql-client-{version}, or name the directory of the server's own programs as 'bindir' or its "
        "container as 'container'."
    )
    assert f"The program pg_dump is not in {tmp_path}: install" in site.backup(bindir=str(tmp_path))["msg"]
