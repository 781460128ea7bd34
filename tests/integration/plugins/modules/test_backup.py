# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a real server: what is proved is equal, and nothing that went wrong looks like a backup."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import ANY

import psycopg2
import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import normalise
from conftest import Postgres
from support.backup import MODULES, ROOT, Site, contents, faulty, fill, run_module, schema_dump


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    """A database with one small table, and an empty place for its backups."""
    found = Site(postgres, postgres.database(), tmp_path / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute("INSERT INTO t (x) SELECT repeat('x', 200) || g FROM generate_series(1, 1000) g")
    return found


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
    assert backup["objects"] == {"column": 2, "constraint": 1, "extension": 1, "index": 1, "sequence": 1, "table": 1}
    assert site.files() == [f"{backup['name']}.dump", f"{backup['name']}.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in site.directory.iterdir()} == {0o600}
    assert stat.S_IMODE(site.directory.stat().st_mode) == 0o700
    assert json.loads((site.directory / f"{backup['name']}.json").read_text()) == backup
    shown = subprocess.run(["sha256sum", site.directory / backup["dump"]], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[0] == backup["sha256"]
    assert "compared 1 table, 1,000 rows, 1 sequence and 7 objects, in " in first["actions"][-1]
    assert (first["scratch_db"], site.databases()) == ("", [])

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


def test_writes_during_the_dump_are_in_neither_side(site: Site, tmp_path: Path) -> None:
    """Between the count and the dump, and during it, rows come and sequences move on."""
    slow = faulty(
        site.postgres.bindir,
        tmp_path / "bin",
        "pg_dump",
        f"{site.postgres.bindir}/psql -qX {site.database} "
        "-c \"INSERT INTO t (x) SELECT 'late' FROM generate_series(1, 50)\"\n"
        'exec "$real" "$@"',
    )
    stop = threading.Event()

    def write() -> None:
        opened = site.postgres.connect(site.database)
        with opened.cursor() as cursor:
            while not stop.is_set():
                cursor.execute("INSERT INTO t (x) VALUES ('more')")
        opened.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = site.backup(bindir=slow)
    finally:
        stop.set()
        writer.join()
    assert done.get("msg") is None
    last = done["backup"]["sequences"]["public.t_id_seq"]["last"]
    assert 1000 <= done["backup"]["rows"] <= last
    (now,) = site.execute("SELECT count(*) FROM t")[0]
    assert isinstance(now, int)
    assert now > done["backup"]["rows"]
    assert last <= now


FAULTS = {
    "truncated dump": ("pg_dump", '"$real" "$@" | head -c -300', "pg_restore failed (exit code 1): "),
    "empty dump": ("pg_dump", "exit 0", "pg_restore failed (exit code 1): "),
    "flipped byte": (
        "pg_dump",
        '"$real" "$@" | python3 -c "import sys; b = bytearray(sys.stdin.buffer.read()); b[len(b) * 3 // 4] ^= 255; '
        'sys.stdout.buffer.write(b)"',
        "pg_restore failed (exit code 1): ",
    ),
    "failing restore": (
        "pg_restore",
        'case "$*" in *--dbname*) echo "pg_restore: error: bad luck" >&2; exit 3 ;; esac; exec "$real" "$@"',
        "pg_restore failed (exit code 3): pg_restore: error: bad luck",
    ),
    "restore without its last table": (
        "pg_restore",
        'case "$*" in *--dbname*) exec "$real" --schema-only "$@" ;; esac; exec "$real" "$@"',
        "differs from it, so the dump is no backup: public.t has 0 rows instead of 1,000 rows; "
        "sequence public.t_id_seq stands at 1 instead of 1000",
    ),
    "restore without indexes": (
        "pg_restore",
        'case "$*" in *--dbname*) exec "$real" --section=pre-data --section=data "$@" ;; esac; exec "$real" "$@"',
        "constraint public.t.t_pkey is missing; index public.t_pkey is missing",
    ),
    "restore without owners": (
        "pg_restore",
        'case "$*" in *--dbname*) exec "$real" --no-owner "$@" ;; esac; exec "$real" "$@"',
        "table public.t is defined otherwise",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_went_wrong_is_no_backup(site: Site, tmp_path: Path, fault: str) -> None:
    site.postgres.execute("DO $$ BEGIN CREATE ROLE bk_other; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    site.execute("ALTER TABLE t OWNER TO bk_other")
    earlier = site.backup()["backup"]
    files = site.files()
    program, script, message = FAULTS[fault]
    failed = site.backup(bindir=faulty(site.postgres.bindir, tmp_path / "bin", program, script))
    assert failed["failed"]
    assert message in failed["msg"]
    assert site.files() == files
    assert site.databases() == []
    assert site.info(verify=True)["backups"][0]["name"] == earlier["name"]
    assert site.backup()["backup"]["proved"]


def test_tampered_rows_are_found(site: Site, tmp_path: Path) -> None:
    psql = f"{site.postgres.bindir}/psql -qX {site.database}_scratch -c"
    script = f'"$real" "$@"; case "$*" in *--dbname*) {psql} "DELETE FROM t WHERE id = 7" ;; esac'
    failed = site.backup(bindir=faulty(site.postgres.bindir, tmp_path / "bin", "pg_restore", script))
    assert failed["msg"] == (
        f"The restored copy of database '{site.database}' differs from it, so the dump is no backup: public.t has "
        "999 rows instead of 1,000 rows; when the schema was changed during the dump, run again."
    )
    assert site.files() == []


def test_a_session_ended_in_mid_dump(site: Site) -> None:
    site.execute("CREATE TABLE big AS SELECT g, repeat(md5(g::text), 8) AS x FROM generate_series(1, 300000) g")
    site.execute("ALTER TABLE big ALTER x SET STORAGE PLAIN")
    stop = threading.Event()
    ended: list[object] = []

    def end() -> None:
        opened = site.postgres.connect("postgres")
        with opened.cursor() as cursor:
            while not ended and not stop.is_set():
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE 'COPY %%' AND datname = %s",
                    [site.database],
                )
                ended.extend(cursor.fetchall())
        opened.close()

    killer = threading.Thread(target=end)
    killer.start()
    try:
        failed = site.backup()
    finally:
        stop.set()
        killer.join()
    assert ended
    assert failed["msg"].startswith("pg_dump failed (exit code 1): ")
    assert 'Dumping the contents of table "big" failed' in failed["msg"]
    assert site.files() == []
    assert site.backup()["backup"]["rows"] == 301000


def test_a_full_disk(site: Site) -> None:
    site.execute("CREATE TABLE noise AS SELECT md5(g::text) FROM generate_series(1, 20000) g")
    site.directory.mkdir(mode=0o700)
    inside = (
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
        'mount -t tmpfs -o size=64k none "$0" && "$@"; code=$?; ls "$0" >&2; exit $code', str(site.directory),
    )  # fmt: skip
    enough = site.backup(prefix=inside)
    assert "are free in" in enough["msg"]
    assert "lower space_factor" in enough["msg"]
    failed = site.backup(prefix=inside, space_factor=0)
    assert "No space left on device" in failed["msg"]
    assert "free some space there and run again." in failed["msg"]
    assert site.databases() == []
    assert site.backup()["backup"]["proved"]


def test_a_read_only_directory(site: Site) -> None:
    site.directory.mkdir(mode=0o700)
    inside = (
        "unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
        'mount -t tmpfs -o ro none "$0" && exec "$@"', str(site.directory),
    )  # fmt: skip
    failed = site.backup(prefix=inside, space_factor=0)
    assert failed["msg"].startswith(f"Can't use {site.directory}/")
    assert failed["msg"].endswith(
        ".dump.partial: Read-only file system; its file system is mounted read-only: mount it writable (after an error "
        "of the disk see dmesg), or name another directory."
    )
    assert site.databases() == []


def test_a_file_that_this_user_may_not_read(site: Site) -> None:
    if os.geteuid() == 0:
        user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        os.chmod(site.directory.parent, 0o755)
        for parent in (site.directory.parent.parent, site.directory.parent.parent.parent):
            os.chmod(parent, 0o755)
    else:
        user = ()
    site.directory.mkdir(mode=0o700)
    site.directory.chmod(0o000)
    try:
        failed = run_module("backup_info", {"directory": str(site.directory / "below")}, user)
    finally:
        site.directory.chmod(0o700)
    assert failed["msg"] == (
        f"Can't use {site.directory}/below: Permission denied; check that the directory exists and belongs to the user "
        "that the task runs as."
    )


def test_a_dump_that_is_killed(site: Site, tmp_path: Path) -> None:
    bindir = faulty(site.postgres.bindir, tmp_path / "bin", "pg_dump", "kill -KILL $$")
    assert site.backup(bindir=bindir)["msg"] == (
        "pg_dump was ended by SIGKILL before it had done its work, by somebody or by the kernel for lack of memory "
        "(see dmesg): run again."
    )
    assert (site.files(), site.databases()) == ([], [])


def test_a_server_that_goes_away(site: Site, tmp_path: Path) -> None:
    """The sessions of the run are ended when the dump has begun."""
    script = f"""PGPASSWORD={site.postgres.password} psql -h {site.postgres.socket_dir} -U postgres -qc "SELECT
        pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'slipway' AND datname =
        '{site.database}'" >/dev/null; exec "$real" "$@" """
    psql = site.postgres.bindir / "psql"
    bindir = faulty(site.postgres.bindir, tmp_path / "bin", "pg_dump", script.replace("psql", str(psql), 1))
    failed = site.backup(bindir=bindir)
    assert "Errno" not in failed["msg"]
    assert "run again" in failed["msg"]
    assert "see " in failed["msg"]
    assert site.files() == []


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


@pytest.mark.once
def test_the_prompt_returns_when_a_stopped_run_has_left_nothing(site: Site, tmp_path: Path) -> None:
    """Ctrl-C in the proof, through Ansible: what was dumped and restored is gone before the run ends, not after it."""
    bindir = faulty(
        site.postgres.bindir,
        tmp_path / "bin",
        "pg_restore",
        f'case "$*" in *--dbname*) "$real" "$@"; echo > {tmp_path}/reached; exec sleep 60 ;; esac; exec "$real" "$@"',
    )
    process = subprocess.Popen(
        [
            str(Path(sys.executable).with_name("ansible")), "localhost", "--connection", "local",
            "--module-name", "slipway.deploy.backup", "--args", json.dumps({**site.common, "bindir": bindir}),
            "--extra-vars", json.dumps({"ansible_python_interpreter": sys.executable}),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert site.files()
    assert site.databases() == [f"{site.database}_scratch"]
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert (site.files(), site.databases()) == ([], [])
    output = process.communicate()[0]
    assert "Interrupted by SIGINT: " in output, output


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


def test_a_copy_of_a_database_that_nobody_is_in(site: Site) -> None:
    arguments = {**site.postgres.login(site.database), "state": "present"}
    name = f"{site.database}_scratch"
    check = run_module("scratch_database", {**arguments, "_ansible_check_mode": True})
    assert (check["changed"], check["actions"]) == (True, [f"Would copy database {site.database} as {name}."])
    assert site.databases() == []
    for _ in range(2):  # made anew
        done = run_module("scratch_database", arguments)
        assert (done["changed"], done["actions"]) == (True, [f"Copied database {site.database} as {name}."])
        assert contents(site.postgres, name) == contents(site.postgres, site.database)
        site.postgres.execute("DELETE FROM t", name)
    inside = site.postgres.connect(site.database)
    try:
        assert "is being accessed by other users" in run_module("scratch_database", arguments)["msg"]
    finally:
        inside.close()


def test_what_migrations_made_is_restored_once_more(site: Site) -> None:
    arguments = {key: value for key, value in site.common.items() if key not in ("application", "environment_name")}
    assert run_module("restore_test", arguments) == {"changed": False, "unproved": [], "invocation": ANY}
    site.execute(
        "CREATE TABLE voucher (a timestamptz CHECK (a > now()), b date CONSTRAINT day CHECK (b > CURRENT_DATE), "
        "c timestamptz CHECK (c > '2020-01-01'))"
    )
    assert (
        "After these migrations a check looks at the clock or the session: day of public.voucher; voucher_a_check of "
        "public.voucher. Rows can violate it later"
    ) in str(run_module("restore_test", arguments)["warnings"])
    site.execute("DROP TABLE voucher")
    site.execute(
        "CREATE FUNCTION half(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n; END'; "
        "CREATE INDEX halves ON t (half(id)); "
        "CREATE OR REPLACE FUNCTION half(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN n / 0; END'"
    )
    failed = run_module("restore_test", arguments)
    assert failed["msg"].startswith(
        "What the migrations make can't be restored from a backup. A restored copy of database "
        f"'{site.database}' has all of its rows, but is not otherwise as it was: INDEX halves postgres: division by "
        "zero; index public.halves is missing. "
    )
    assert failed["msg"].endswith(
        "Correct the migration that made it so, or set unprovable to the reason for applying it all the same."
    )
    assert run_module("restore_test", {**arguments, "data_limit": 0}).get("msg") is None  # its rows are not looked at
    done = run_module("restore_test", {**arguments, "unprovable": "to be corrected"})
    assert done["unproved"] == ["INDEX halves postgres: division by zero", "index public.halves is missing"]
    assert (site.files(), site.databases()) == ([], [])


def test_creation_cut_short_before_the_mark(site: Site) -> None:
    site.postgres.execute(f"CREATE DATABASE {site.database}_scratch ALLOW_CONNECTIONS false CONNECTION LIMIT 0")
    assert site.backup()["backup"]["proved"]


def test_retention_removes_only_the_oldest_of_the_same_kind(site: Site) -> None:
    def changed() -> Site:
        site.execute("INSERT INTO t (x) VALUES ('more')")
        return site

    foreign = Site(site.postgres, site.database, site.directory, environment="prod")
    kept = foreign.backup()["backup"]["name"]
    names = [changed().backup(keep=0)["backup"]["name"] for _ in range(3)]
    (site.directory / "mine.dump").write_text("somebody's file")
    done = changed().backup(keep=2)
    assert done["actions"][-2:] == [f"Removed backup {name}: the newest 2 are kept." for name in (names[1], names[0])]
    left = [backup["name"] for backup in site.info(verify=True)["backups"]]
    assert left == [kept, names[2], done["backup"]["name"]]
    assert site.info()["without_manifest"] == ["mine.dump"]
    assert [backup["name"] for backup in site.info(environment_name="prod")["backups"]] == [kept]
    younger = changed().backup(keep=1, keep_days=1)
    assert "Removed" not in " ".join(younger["actions"])
    assert len(site.info(environment_name="test")["backups"]) == 3


def test_retries_on_an_unchanged_database_are_one_backup(site: Site) -> None:
    site.execute("CREATE TABLE big AS SELECT md5(g::text) AS x FROM generate_series(1, 50000) g")
    older = site.backup(release="1", keep=2)["backup"]
    site.execute("INSERT INTO t (x) VALUES ('more')")
    contents, names = set(), []
    for _ in range(3):
        done = site.backup(release="1", keep=2)
        contents.add(done["backup"]["content"])
        names.append(done["backup"]["name"])
        assert [backup["name"] for backup in site.info(verify=True)["backups"]] == [older["name"], names[-1]]
    assert len(contents) == 1
    assert contents != {older["content"]}
    assert done["actions"][-1] == f"Removed backup {names[-2]}: {names[-1]} holds the same."
    site.execute("SELECT nextval('t_id_seq')")
    assert site.backup(release="1", keep=0)["backup"]["content"] not in contents


def test_a_manifest_of_an_earlier_version_is_read(site: Site) -> None:
    backup = site.backup()["backup"]
    manifest = site.directory / f"{backup['name']}.json"
    known = json.loads(manifest.read_text())
    del known["content"]
    manifest.write_text(json.dumps({**known, "format": 1}))
    assert site.restore()["restore"]["backup"] == backup["name"]
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
    assert site.restore(**login)["restore"]["rows"] == 1000
    site.execute("CREATE TABLE hidden (x int)")
    assert site.backup(**login)["msg"] == (
        f"The backup of database '{site.database}' failed: permission denied for table hidden."
    )
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
    assert site.restore(**login)["restore"]["rows"] == 1000


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


def test_a_directory_that_can_not_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = site.backup(directory=str(tmp_path / "file"))
    assert failed["msg"] == (
        f"Can't use {tmp_path}/file: File exists; check that the directory exists and belongs to the user that the "
        "task runs as."
    )
