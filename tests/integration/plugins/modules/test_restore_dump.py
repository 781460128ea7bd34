# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump made elsewhere takes the database's place, with this server's owner and rights; a bad one changes nothing."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import Postgres
from support.backup import MODULES, ROOT, Site, contents, fill, run_module, schema_dump

OWNER, APPLICATION, READONLY = "im_owner", "im_app", "im_ro"


@pytest.fixture(scope="module")
def source(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A database full of oddities, whose owners and rights are of roles of its own."""
    found = Site(postgres, postgres.database(), tmp_path_factory.mktemp("source"))
    fill(found)
    # What only a superuser may make, or who may see all rows.
    found.execute("COMMENT ON LARGE OBJECT 4711 IS 'large'")
    return found


def deployed(postgres: Postgres, directory: Path) -> Site:
    """A database as a deploy leaves it: owned by the owner, with the rights of the two others."""
    found = Site(postgres, postgres.database(), directory / "backups")
    roles = {"owner": OWNER, "application": APPLICATION, "readonly": READONLY}
    run_module("database", {
        **postgres.login(found.database), **roles,
        **{f"{kind}_password": f"{role}-password" for kind, role in roles.items()},
        "environment_name": "test", "identity_file": str(directory / "database.json"), "extensions": ["vector"],
        "dedicated": True, "released": True,
    })  # fmt: skip
    # Other tests share the server.
    postgres.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC; GRANT CONNECT ON DATABASE template1 TO PUBLIC")
    opened = postgres.connect(found.database, OWNER, f"{OWNER}-password")
    with opened.cursor() as cursor:
        cursor.execute("CREATE TABLE here (x int); INSERT INTO here VALUES (1)")
    opened.close()
    return found


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    """Another one for each test."""
    return deployed(postgres, tmp_path)


@pytest.fixture(scope="module")
def unchanged(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One for all tests that leave it as it is."""
    return deployed(postgres, tmp_path_factory.mktemp("unchanged"))


def dumped(source: Site, target: Path, *options: str) -> Path:
    """The source as its pg_dump writes it."""
    postgres = source.postgres
    with target.open("wb") as out:
        subprocess.run(
            [str(postgres.bindir / "pg_dump"), *options, source.database],
            env={**os.environ, "PGHOST": str(postgres.socket_dir), "PGPORT": str(postgres.port),
                 "PGUSER": postgres.user, "PGPASSWORD": postgres.password},
            stdout=out, check=True,
        )  # fmt: skip
    return target


def restore(site: Site, path: Path, *, check: bool = False, **more: object) -> dict[str, Any]:
    """Run the module on a copy of the file, which it removes."""
    copy = path.with_name("incoming.dump.partial")
    if not check:
        shutil.copy(path, copy)
    common = {name: value for name, value in site.common.items() if name not in ("application", "environment_name")}
    return run_module("restore_dump", {
        **common, "path": str(copy), "name": path.name, "owner": OWNER, "owner_password": f"{OWNER}-password",
        "application": APPLICATION, "readonly": READONLY, "_ansible_check_mode": check, **more,
    })  # fmt: skip


def without_owners(lines: list[str]) -> list[str]:
    """A dump of the schema without what is the environment's: owners, rights, and comments on extensions."""
    kept: list[str] = []
    for statement in re.split(r";\n", "\n".join(line for line in lines if line and not line.startswith("--"))):
        if not re.match(r"\s*(ALTER [^;]* OWNER TO|GRANT|REVOKE|ALTER DEFAULT|COMMENT ON EXTENSION)", statement):
            # PostgreSQL prints a constant otherwise when it has read what it printed.
            kept.append(re.sub(r"::(character varying|text|integer)(\[\])?|[()'\s]", "", statement))
    return kept


@pytest.mark.parametrize("how", ["gz", "clean", "inserts", "custom.gz", "tar"])
def test_whatever_format(source: Site, site: Site, tmp_path: Path, how: str) -> None:
    options = {
        "clean": ["--clean", "--create"], "inserts": ["--column-inserts", "--rows-per-insert=100"],
        "custom.gz": ["-Fc"], "tar": ["-Ft"],
    }.get(how, [])  # fmt: skip
    path = dumped(source, tmp_path / "backup", *options)
    if how.endswith("gz"):
        path.write_bytes(gzip.compress(path.read_bytes(), 1))

    check = restore(site, path, check=True)
    assert check["actions"][0].startswith("Would restore backup as ")
    assert (site.databases(), site.execute("SELECT x FROM here")) == ([], [(1,)])

    done = restore(site, path)
    assert done.get("msg") is None, done
    kept = done["restore"]["kept_database"]
    assert site.databases() == [kept]
    assert site.postgres.execute("SELECT x FROM here", kept) == [(1,)]
    assert contents(site.postgres, site.database) == contents(source.postgres, source.database)
    assert without_owners(schema_dump(site.postgres, site.database)) == without_owners(
        schema_dump(source.postgres, source.database)
    )
    for query in (
        "SELECT lo_get(oid), obj_description(oid, 'pg_largeobject') FROM pg_largeobject_metadata",
        "SELECT last_value, is_called FROM down",
        "SELECT sum(id), max(lower_email) FROM users",
    ):
        assert site.execute(query) == source.execute(query)
    owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE oid > 16384 AND relnamespace::regnamespace"
    assert site.execute(f"{owners}::text !~ '^pg_'") == [(OWNER,)]
    # The application works as it does after a migration.
    application = site.postgres.connect(site.database, APPLICATION, f"{APPLICATION}-password")
    with application.cursor() as cursor:
        cursor.execute("INSERT INTO users (email) VALUES ('new') RETURNING id > 500")
        assert cursor.fetchall() == [(True,)]
        cursor.execute("SELECT lo_get(4711), lo_unlink(4711)")
        cursor.execute("SELECT has_schema_privilege('public', 'CREATE'), has_table_privilege(%s, 'users', 'INSERT')",
                       [READONLY])  # fmt: skip
        assert cursor.fetchall() == [(False, False)]
    application.close()
    stamp = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"
    assert site.execute(stamp) == [("slipway.environment=test",)]
    assert not (tmp_path / "incoming.dump.partial").exists()


NOTHING = "nothing was changed"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("CREATE TABLE a (x int);\nSELECT 1/0;\n", "b.sql can't be restored: division by zero (line 2, SELECT 1/0)"),
        ("CREATE TABLE a (x int);\nCOPY a FROM stdin;\n1\n2\nsecret\n\\.\n",
         'b.sql can\'t be restored: invalid input syntax for type integer: "secret" (line 5, COPY a FROM stdin)'),
        ("CREATE TABLE a (x int);\n\\! touch /tmp/no\n", "b.sql has the command '\\\\!' for psql in line 2"),
        ("COPY a FROM PROGRAM 'touch /tmp/no';\n", "permission denied to COPY to or from an external program"),
        ("SET SESSION AUTHORIZATION postgres; ALTER ROLE im_owner SUPERUSER;", "permission denied"),
        ("SELECT 1;\n", "b.sql makes no table, so it was not put in the place of database"),
        ("CREATE EXTENSION nonesuch;\n", "b.sql needs the extension 'nonesuch', which the server does not have"),
        ("CREATE TABLE a (x int);\nCREATE POLICY p ON a TO nobody;\n", 'role "nobody" does not exist (line 2'),
        ("-- Dumped from database version 99.1\nSELECT 1;\n", "b.sql is of PostgreSQL 99.1 and can't be restored on"),
        ("CREATE TABLE a (x int);\nCOPY a FROM stdin;\n1\n", "b.sql was cut off: it ends in the rows of a table"),
    ],
)  # fmt: skip
def test_a_bad_dump_changes_nothing(unchanged: Site, tmp_path: Path, content: str, error: str) -> None:
    (tmp_path / "b.sql").write_text(content)
    before = unchanged.postgres.execute("SELECT rolname, rolsuper FROM pg_roles ORDER BY 1")
    failed = restore(unchanged, tmp_path / "b.sql")
    assert error in failed["msg"]
    assert NOTHING in failed["msg"]
    assert (unchanged.databases(), unchanged.execute("SELECT x FROM here")) == ([], [(1,)])
    assert unchanged.postgres.execute("SELECT rolname, rolsuper FROM pg_roles ORDER BY 1") == before
    assert not Path("/tmp/no").exists()
    assert not (tmp_path / "incoming.dump.partial").exists()


def test_check_mode_knows_what_can_not_be_restored(unchanged: Site, tmp_path: Path) -> None:
    refused = restore(unchanged, tmp_path / "b.dump", check=True, kind="custom", version="99.1")
    assert refused["msg"].startswith("b.dump is of PostgreSQL 99.1 and can't be restored on ")


@pytest.mark.parametrize("how", ["-Fp", "-Fc", "-Ft"])
def test_a_truncated_dump_changes_nothing(source: Site, unchanged: Site, tmp_path: Path, how: str) -> None:
    path = dumped(source, tmp_path / "backup", how)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    failed = restore(unchanged, path)
    assert NOTHING in failed.get("msg", ""), failed
    assert (unchanged.databases(), unchanged.execute("SELECT x FROM here")) == ([], [(1,)])
    assert list(tmp_path.glob("*.partial")) == []


def test_what_no_server_of_this_version_knows_is_left_out_and_told(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "b.sql"
    path.write_text(
        "SET nonesuch_timeout = 0;\nDROP TABLE IF EXISTS a;\nDROP TABLE public.a;\nALTER TABLE ONLY public.a DROP "
        "CONSTRAINT b;\nCREATE TABLE a (x int);\nALTER TABLE a OWNER TO nobody;\nGRANT SELECT ON a TO nobody;\n"
    )
    done = restore(site, path)
    assert done["restore"]["left_out"] == {
        "settings that this version does not know": 1, "what is not there to be dropped": 2, "owners": 1, "rights": 1,
    }  # fmt: skip
    assert any("owners (1), rights (1)" in action for action in done["actions"])


def test_a_killed_restore_is_cleared_away_by_the_next_run(source: Site, site: Site, tmp_path: Path) -> None:
    path = tmp_path / "b.sql"
    path.write_text("CREATE TABLE a (x int);\nSELECT pg_sleep(60);\n")
    copy = site.directory / "incoming.dump.partial"
    site.directory.mkdir()
    shutil.copy(path, copy)
    common = {name: value for name, value in site.common.items() if name not in ("application", "environment_name")}
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.restore_dump"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": {
        **common, "path": str(copy), "name": "b.sql", "owner": OWNER, "owner_password": f"{OWNER}-password",
        "application": APPLICATION, "readonly": READONLY,
    }}).encode())  # fmt: skip
    process.stdin.close()
    sleeping = "SELECT pid FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'"
    deadline = time.monotonic() + 30
    while not site.postgres.execute(sleeping):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert site.execute("SELECT x FROM here") == [(1,)]
    assert copy.exists()
    site.postgres.execute(f"SELECT pg_terminate_backend(pid) FROM ({sleeping}) s")

    done = site.backup()
    assert done.get("msg") is None
    assert site.databases() == []
    assert not copy.exists()
