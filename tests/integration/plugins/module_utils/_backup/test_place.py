# SPDX-License-Identifier: GPL-3.0-or-later
"""The copy of a database on a throw-away server that is like its own, which has nothing but the dump to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import normalise
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway import socket_dir
from conftest import Postgres
from support.backup import MODULES, ROOT, Site, contents, faulty, fill, run_module, schema_dump

SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name IN ('IntervalStyle', 'TimeZone', 'default_toast_compression',
    'work_mem', 'standard_conforming_strings', 'random_page_cost', 'wal_level', 'full_page_writes', 'max_connections',
    'lc_messages', 'search_path') ORDER BY 1
"""
ROLES = """
SELECT rolname, rolsuper, rolcanlogin, rolconnlimit, s.setconfig,
    ARRAY(SELECT DISTINCT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid ORDER BY 1)
FROM pg_roles r LEFT JOIN pg_db_role_setting s ON setrole = r.oid AND setdatabase = 0 ORDER BY rolname
"""
LOCALE = "SELECT encoding, datcollate, datctype FROM pg_database WHERE datname = 'template0'"


@pytest.fixture
def hard(postgres: Postgres, tmp_path: Path) -> Site:
    site = Site(postgres, f"{postgres.database()} own=ünï", tmp_path / "backups")
    postgres.execute(f'CREATE DATABASE "{site.database}"')
    fill(site)
    return site


def running(site: Site) -> list[str]:
    """Servers with their data in the directory, as ps shows them."""
    shown = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if " -D " in line and str(site.directory) in line]


def left(site: Site) -> list[object]:
    """All that there is of a throw-away server, when what was ended has had time to be gone."""
    deadline = time.monotonic() + 5
    while running(site) and time.monotonic() < deadline:
        time.sleep(0.05)
    places = (site.directory / "throwaway", socket_dir(site.directory).parent)
    return [*running(site), *(place for place in places if place.exists())]


def at(copy: dict[str, Any], postgres: Postgres) -> Postgres:
    """The server that a backup's result says the copy is on."""
    return Postgres(postgres.version, postgres.bindir, postgres.directory, Path(copy["location"]["login_unix_socket"]))


def autovacuum(postgres: Postgres, value: str) -> None:
    """Set it, and wait for what of it is at work."""
    postgres.execute(f"ALTER SYSTEM SET autovacuum TO {value}")
    postgres.execute("SELECT pg_reload_conf()")
    while value == "off" and postgres.execute(
        "SELECT 1 FROM pg_stat_activity WHERE backend_type ~ '^autovacuum' OR current_setting('autovacuum') = 'on'"
    ):
        time.sleep(0.05)


@contextmanager
def watched(site: Site) -> Iterator[dict[str, Any]]:
    """Which databases the live server has meanwhile, and how many bytes of write-ahead log it writes."""
    seen: dict[str, Any] = {"databases": set()}
    done = threading.Event()
    position = "SELECT pg_current_wal_lsn() - '0/0'"

    def look() -> None:
        with closing(site.postgres.connect()) as opened, opened.cursor() as cursor:
            while not done.wait(0.005):
                cursor.execute("SELECT datname FROM pg_database")
                seen["databases"] |= {name for (name,) in cursor.fetchall() if name.startswith(site.database)}

    autovacuum(site.postgres, "off")  # which writes to the log, too
    before = int(str(site.postgres.execute(position)[0][0]))
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
        seen["wal"] = int(str(site.postgres.execute(position)[0][0])) - before
        autovacuum(site.postgres, "on")


def test_the_live_server_has_nothing_but_the_dump_to_do(hard: Site) -> None:
    scratch = f"{hard.database}_scratch"
    with watched(hard) as same:
        assert hard.backup()["backup"]["proved"]
    with watched(hard) as own:
        done = hard.backup(proof_server="own")
    assert done["backup"]["proved"]
    assert " on a server of its own and compared 12 tables, 503 rows" in " ".join(done["actions"])
    assert (same["databases"], own["databases"]) == ({hard.database, scratch}, {hard.database})
    assert own["wal"] < 100_000 < same["wal"]
    assert (done["restored_copy"], left(hard)) == ({}, [])
    assert hard.backup(proof_server="own", check=True)["actions"][0].endswith(
        f"restore the dump into {scratch} on a server of its own and compare the two."
    )


def test_the_copy_and_its_server_are_alike(hard: Site, tmp_path: Path) -> None:
    """By their own path. A role that no dump names may be named by a migration."""
    postgres, place = hard.postgres, tmp_path / "fast"
    place.mkdir()
    place.chmod(0o777)
    for statement in (
        "CREATE ROLE ow_member NOINHERIT LOGIN CONNECTION LIMIT 3",
        "ALTER ROLE ow_member SET work_mem TO '7MB'",
        "GRANT pg_monitor TO ow_member",
        f"CREATE TABLESPACE ow_fast OWNER bk_owner LOCATION '{place}'",
        "ALTER SYSTEM SET IntervalStyle TO 'iso_8601'",
        r"ALTER SYSTEM SET search_path TO '$user', public, 'it''s \a'",
        "ALTER SYSTEM SET random_page_cost TO 1.25",
        "SELECT pg_reload_conf()",
    ):
        postgres.execute(statement)
    try:
        hard.execute("CREATE TABLE moved (x int) TABLESPACE ow_fast")
        done = hard.backup(proof_server="own", keep_scratch=True)
        assert done.get("msg") is None, done
        there = at(done["restored_copy"], postgres)
        for query in (SETTINGS, ROLES, LOCALE, "SELECT spcname, spcowner::regrole::text FROM pg_tablespace ORDER BY 1"):
            assert there.execute(query) == postgres.execute(query)
        assert [normalise(line) for line in schema_dump(there, done["scratch_db"])] == [
            normalise(line) for line in schema_dump(postgres, hard.database)
        ]
        assert contents(there, done["scratch_db"]) == contents(postgres, hard.database)
        own_settings = """SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting s JOIN pg_database d
                          ON d.oid = s.setdatabase WHERE d.datname = '{}' ORDER BY 1"""
        assert there.execute(own_settings.format(done["scratch_db"])) == hard.execute(
            own_settings.format(hard.database)
        )
        assert there.execute("SHOW fsync") == [("off",)]
        assert there.execute("SHOW listen_addresses") == [("",)]
        drop = {**postgres.login(hard.database), "directory": str(hard.directory)}
        said = "the throw-away server with database " + done["scratch_db"]
        assert run_module("scratch_database", {**drop, "_ansible_check_mode": True})["actions"] == [
            f"Would remove {said}."
        ]
        assert run_module("scratch_database", drop)["actions"] == [f"Removed {said}."]
        assert left(hard) == []
        assert run_module("scratch_database", drop)["actions"] == []
    finally:
        hard.execute("DROP TABLE IF EXISTS moved")
        for statement in (
            "DROP TABLESPACE ow_fast",
            "DROP ROLE ow_member",
            "ALTER SYSTEM RESET ALL",
            "SELECT pg_reload_conf()",
        ):
            postgres.execute(statement)


def test_a_difference_is_found_there_and_nothing_is_left(hard: Site, tmp_path: Path) -> None:
    lossy = faulty(
        hard.postgres.bindir,
        tmp_path / "bin",
        "pg_restore",
        '"$real" "$@" || exit; for each; do case "$each" in --dbname=*) '
        f'"{hard.postgres.bindir}/psql" -qc "UPDATE users SET state = \'gone\' WHERE id = 1" "${{each#--dbname=}}";; '
        "esac; done; exit 0",
    )
    done = hard.backup(bindir=lossy, proof_server="own")
    assert done["differences"] == ["public.users holds other values"]
    assert (left(hard), hard.files()) == ([], [])


@pytest.mark.parametrize(
    ("program", "script", "said"),
    [
        ("initdb", "echo no room; exit 1", "can't be made: no room; correct that"),
        ("postgres", "echo no memory; exit 1", "does not start: "),
    ],
)
def test_a_server_that_can_t_be_made(site: Site, tmp_path: Path, program: str, script: str, said: str) -> None:
    done = site.backup(bindir=faulty(site.postgres.bindir, tmp_path / "bin", program, script), proof_server="own")
    assert said in done["msg"]
    assert (left(site), site.files(), site.databases()) == ([], [], [])


def test_a_library_that_can_t_be_loaded_there_is_left_out(site: Site) -> None:
    site.postgres.execute("ALTER SYSTEM SET shared_preload_libraries TO 'not_there'")
    site.postgres.execute("SELECT pg_reload_conf()")
    try:
        done = site.backup(proof_server="own")
    finally:
        site.postgres.execute("ALTER SYSTEM RESET ALL")
        site.postgres.execute("SELECT pg_reload_conf()")
    assert done.get("msg") is None, done
    assert left(site) == []


def test_what_a_killed_run_left_is_removed_by_the_next(site: Site, tmp_path: Path) -> None:
    bindir = faulty(
        site.postgres.bindir,
        tmp_path / "bin",
        "pg_restore",
        f'case "$*" in *--dbname*) "$real" "$@"; echo > {tmp_path}/reached; exec sleep 60 ;; esac; exec "$real" "$@"',
    )
    arguments = {"ANSIBLE_MODULE_ARGS": {**site.common, "bindir": bindir, "proof_server": "own"}}
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.backup"],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(arguments).encode())
    process.stdin.close()
    deadline = time.monotonic() + 30
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert len(running(site)) == 1
    done = site.backup()  # which has its own copy on the same server
    assert any(each.endswith("throwaway, which a run left behind.") for each in done["actions"]), done
    assert left(site) == []
