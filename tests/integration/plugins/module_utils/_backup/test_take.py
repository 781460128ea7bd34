# SPDX-License-Identifier: GPL-3.0-or-later
"""What is proved is equal, and nothing that went wrong looks like a backup."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.backup import Site, faulty


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
        "owner of public.t is defined otherwise: 'bk_other' in the source, 'postgres' in the copy",
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
    assert done["actions"][:2] == [f"Removed backup {name}: the newest 2 are kept." for name in (names[1], names[0])]
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
    assert done["actions"][0] == f"Removed backup {names[-2]}: {names[-1]} holds the same."
    site.execute("SELECT nextval('t_id_seq')")
    assert site.backup(release="1", keep=0)["backup"]["content"] not in contents
