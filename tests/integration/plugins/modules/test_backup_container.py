# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup and restore with the programs of the server's own container, on a real Docker engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from support.backup import run_module

IMAGE = os.environ.get("SLIPWAY_POSTGRES_IMAGE", "slipway-standin/postgres:15")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


pytestmark = pytest.mark.container


@dataclass
class Contained:
    """A server in a container, reached by the modules through its network address."""

    container: str
    login: dict[str, object]
    socket_dir: Path

    def execute(self, statement: str, database: str = "autotest") -> list[tuple[object, ...]]:
        opened = psycopg2.connect(
            host=self.login["login_host"], user="postgres", password=self.login["login_password"], dbname=database
        )
        opened.autocommit = True
        try:
            with opened.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            opened.close()


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contained]:
    socket_dir = tmp_path_factory.mktemp("run")
    name = f"slipway-backup-{uuid.uuid4().hex[:8]}"
    docker(
        "run", "--detach", "--name", name, "--stop-signal", "SIGINT",
        "--env", "POSTGRES_PASSWORD=test-superuser", "--env", "POSTGRES_DB=autotest",
        "--volume", f"{socket_dir}:/var/run/postgresql", IMAGE,
    )  # fmt: skip
    try:
        address = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        server = Contained(
            name,
            {
                "login_host": address,
                "login_user": "postgres",
                "login_password": "test-superuser",
                "login_db": "autotest",
                "container": name,
            },
            socket_dir,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                server.execute("SELECT 1")
                break
            except psycopg2.OperationalError:
                assert time.monotonic() < deadline, docker("logs", name)
                time.sleep(0.1)
        yield server
    finally:
        docker("rm", "--force", "--volumes", name)


def test_backup_and_restore(contained: Contained, tmp_path: Path) -> None:
    contained.execute("CREATE TABLE t AS SELECT g, md5(g::text) AS x FROM generate_series(1, 50000) g")
    contained.execute('CREATE SCHEMA "sch ema"; CREATE TABLE "sch ema"."ta\'ble" (id serial PRIMARY KEY)')
    common: dict[str, object] = {
        **contained.login,
        "directory": str(tmp_path / "backups"),
        "application": "autotest",
        "environment_name": "test",
    }
    backup = run_module("backup", common)
    assert backup.get("msg") is None
    assert backup["backup"]["tables"] == {"public.t": 50000, '"sch ema"."ta\'ble"': 0}
    assert contained.execute("SELECT count(*) FROM pg_database") == [(4,)]

    contained.execute("DELETE FROM t")
    restored = run_module("restore", common)
    assert restored.get("msg") is None
    assert contained.execute("SELECT count(*), count(DISTINCT x) FROM t") == [(50000, 50000)]
    assert contained.execute("SELECT count(*) FROM t", restored["restore"]["kept_database"]) == [(0,)]


def test_the_copy_is_the_source(contained: Contained, tmp_path: Path) -> None:
    """A foreign key leans on the same index, and an extension belongs to the role that made it, which may drop it."""
    contained.execute("CREATE ROLE bk_owner LOGIN PASSWORD 'bk_owner'")
    contained.execute("CREATE DATABASE owned OWNER bk_owner")
    contained.execute(
        """
        SET ROLE bk_owner;
        CREATE EXTENSION citext;
        CREATE TABLE a (id citext NOT NULL);
        CREATE UNIQUE INDEX z_first ON a (id);
        CREATE TABLE b (a citext REFERENCES a (id));
        ALTER TABLE a ADD PRIMARY KEY (id);
        """,
        "owned",
    )
    common: dict[str, object] = {
        **contained.login,
        "login_db": "owned",
        "directory": str(tmp_path / "backups"),
        "application": "autotest",
        "environment_name": "test",
    }
    shown = """SELECT conindid::regclass::text, (SELECT pg_get_userbyid(extowner)::text || extversion FROM pg_extension
               WHERE extname = 'citext') FROM pg_constraint WHERE contype = 'f'"""
    expected = contained.execute(shown, "owned")
    assert expected[0][0] == "z_first"
    backup = run_module("backup", {**common, "keep_scratch": True})
    assert backup.get("msg") is None
    assert contained.execute(shown, "owned_scratch") == expected
    drop = "SET ROLE bk_owner; DROP TABLE b, a; DROP EXTENSION citext"
    contained.execute(drop, "owned_scratch")
    assert run_module("restore", common).get("msg") is None
    assert contained.execute(shown, "owned") == expected
    contained.execute(drop, "owned")
    assert docker("exec", contained.container, "ls", "/dev/shm").count("slipway-") == 0


def test_the_password_is_in_no_argument_list(contained: Contained, tmp_path: Path) -> None:
    """A docker client that notes what it was called with, in front of the real one."""
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "docker"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {tmp_path}/seen\nexec {shutil.which("docker")} "$@"\n')
    fake.chmod(0o755)
    arguments: dict[str, object] = {
        **contained.login,
        "directory": str(tmp_path / "backups"),
        "application": "autotest",
        "environment_name": "test",
    }
    done = run_module("backup", arguments, prefix=("env", f"PATH={tmp_path}/bin:{os.environ['PATH']}"))
    assert done["backup"]["proved"]
    seen = (tmp_path / "seen").read_text()
    assert seen.count("pg_restore --") == 4  # its version, the archive read through, its contents, the restore
    assert "test-superuser" not in seen


def test_failures(contained: Contained, tmp_path: Path) -> None:
    def backup(**more: object) -> dict[str, Any]:
        return run_module(
            "backup",
            {
                **contained.login,
                "directory": str(tmp_path / "backups"),
                "application": "autotest",
                "environment_name": "test",
                **more,
            },
        )

    assert "pg_dump failed (exit code 1): " in backup(container="no-such-container")["msg"]
    assert "No such container: no-such-container" in backup(container="no-such-container")["msg"]
    assert "/nowhere" in backup(container_socket_dir="/nowhere")["msg"]
    assert list((tmp_path / "backups").iterdir()) == []
    assert "parameters are mutually exclusive" in backup(bindir="/usr/bin")["msg"]


def test_what_amcheck_finds_in_the_copy(contained: Contained, tmp_path: Path) -> None:
    """An order that is not one, as of a faulty operator class, makes an index in which rows are not found again."""
    contained.execute("CREATE DATABASE checked")
    for statement in (
        "CREATE SCHEMA tools",
        "CREATE EXTENSION amcheck SCHEMA tools",
        "CREATE FUNCTION one_way(int, int) RETURNS int IMMUTABLE LANGUAGE sql RETURN 1",
        "CREATE OPERATOR CLASS odd FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, "
        "OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 one_way(int, int)",
        "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 1000) g",
        "CREATE INDEX t_id ON t (id)",
    ):
        contained.execute(statement, "checked")
    arguments = {
        **contained.login, "login_db": "checked", "directory": str(tmp_path), "application": "autotest",
        "environment_name": "test",
    }  # fmt: skip
    assert run_module("backup", arguments)["backup"]["proved"]
    contained.execute("CREATE INDEX t_odd ON t (id odd)", "checked")
    assert 'item order invariant violated for index "t_odd"' in run_module("backup", arguments)["msg"]
    accepted = run_module("backup", {**arguments, "unprovable": "its operator class is to go"})["backup"]
    assert len(accepted["unproved"]) == 1
    assert accepted["unproved"][0].endswith(
        'item order invariant violated for index "t_odd"'
    )  # within a page, or across


def test_what_others_dumped_tables_alone_and_masked(contained: Contained, tmp_path: Path) -> None:
    """The programs are the container's, and an archive reaches them through a pipe."""
    for role in ("el_owner", "el_app", "el_ro"):
        contained.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'el-password'")
    contained.execute("CREATE DATABASE elsewhere OWNER el_owner")
    contained.execute("CREATE TABLE before (x int)", "elsewhere")
    contained.execute("CREATE DATABASE source")
    contained.execute(
        "CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text, l text GENERATED ALWAYS AS "
        "(lower(email)) STORED); INSERT INTO users (email) SELECT 'Real' || g FROM generate_series(1, 100) g;"
        "COMMENT ON TABLE users IS 'people'; SELECT lo_from_bytea(4711, 'large')",
        "source",
    )
    common: dict[str, object] = {
        **contained.login, "login_db": "elsewhere", "directory": str(tmp_path / "backups"),
    }  # fmt: skip
    for options in ("-Fp", "-Fc", "-Ft"):
        incoming = tmp_path / "incoming.dump.partial"
        with incoming.open("wb") as out:
            subprocess.run(["docker", "exec", "-u", "postgres", contained.container, "pg_dump", options, "source"],
                           stdout=out, check=True)  # fmt: skip
        done = run_module("restore_dump", {
            **common, "path": str(incoming), "name": "backup", "owner": "el_owner", "owner_password": "el-password",
            "application": "el_app", "readonly": "el_ro",
        })  # fmt: skip
        assert done.get("msg") is None, (options, done)
        query = "SELECT count(*), max(l), obj_description('users'::regclass) FROM users"
        assert contained.execute(query, "elsewhere") == [(100, "real99", "people")]
        query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'users'"
        assert contained.execute(query, "elsewhere") == [("el_owner",)]
        assert contained.execute("SELECT lo_get(4711) = 'large'", "elsewhere") == [(True,)]
        assert contained.execute("INSERT INTO users (email) VALUES ('x') RETURNING id", "elsewhere") == [(101,)]

    common |= {"application": "autotest", "environment_name": "test"}
    assert run_module("backup", common).get("msg") is None
    alone = run_module("restore_tables", {**common, "tables": ["users"]})
    assert alone.get("msg") is None, alone
    schema = alone["restore"]["schema"]
    assert contained.execute(f"SELECT count(*), max(l) FROM {schema}.users", "elsewhere") == [(101, "x")]
    contained.execute(f"DROP SCHEMA {schema} CASCADE", "elsewhere")
    masked = run_module("restore", {**common, "masking": {"users": {"email": "hash"}}})
    assert masked.get("msg") is None, masked
    assert contained.execute("SELECT count(*) FROM users WHERE email ~ 'Real' OR l ~ 'real'", "elsewhere") == [(0,)]
    assert contained.execute("SELECT count(DISTINCT l) FROM users", "elsewhere") == [(101,)]


def test_a_server_of_its_own_in_a_container_beside(contained: Contained, tmp_path: Path) -> None:
    """Of the same image, on no network; the live server never has another database, and nothing is left."""
    contained.execute("CREATE DATABASE alone")
    contained.execute("CREATE ROLE al_app LOGIN; CREATE EXTENSION citext; CREATE TABLE t (x citext)", "alone")
    contained.execute(
        "INSERT INTO t SELECT 'X' || g FROM generate_series(1, 1000) g; GRANT SELECT ON t TO al_app", "alone"
    )
    own = f"{contained.container}-throwaway"
    arguments: dict[str, object] = {
        **contained.login, "login_db": "alone", "directory": str(tmp_path), "application": "autotest",
        "environment_name": "test", "proof_server": "own",
    }  # fmt: skip
    done = run_module("backup", {**arguments, "keep_scratch": True})
    assert done.get("msg") is None, done
    where = done["restored_copy"]
    assert where["container"] == own
    found = psycopg2.connect(
        host=where["location"]["login_unix_socket"], user="al_app", dbname="postgres", password="whatever"
    )
    with found, found.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname = 'alone_scratch'")
        assert cursor.fetchall() == [("alone_scratch",)]
    found.close()
    image, network, mounts = (
        docker("inspect", "--format", f"{{{{{what}}}}}", own)
        for what in (".Image", ".HostConfig.NetworkMode", "len .Mounts")
    )
    assert image == docker("inspect", "--format", "{{.Image}}", contained.container)
    assert (network, int(mounts)) == ("none", 2)
    assert contained.execute("SELECT datname FROM pg_database WHERE datname ~ 'scratch'") == []
    again = run_module("restore_test", {
        **contained.login, **where["location"], "container": own, "directory": str(tmp_path),
    })  # fmt: skip
    assert again.get("msg") is None, again
    volume = docker("inspect", "--format", "{{range .Mounts}}{{.Name}}{{end}}", own)
    assert volume in docker("volume", "ls", "--quiet").split()
    run_module("scratch_database", {**{k: v for k, v in contained.login.items() if k != "container"},
                                    "login_db": "alone", "directory": str(tmp_path)})  # fmt: skip
    assert docker("ps", "--all", "--quiet", "--filter", f"name={own}") == ""
    assert volume not in docker("volume", "ls", "--quiet").split()
    assert not (tmp_path / "throwaway").exists()


def test_a_server_of_its_own_on_another_host(contained: Contained, tmp_path: Path) -> None:
    """Of the same image there; the programs of the database's container reach it, and its server's user does not."""
    contained.execute("CREATE DATABASE far")
    contained.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS x", "far")
    there = f"{contained.container}-throwaway"
    login = {name: value for name, value in contained.login.items() if name not in ("login_host", "container")}
    login |= {"login_db": "far", "login_unix_socket": str(contained.socket_dir)}
    near = {"container": contained.container, "directory": str(tmp_path / "near")}
    described = run_module("throwaway_server", {"state": "described", "login": login, **near})
    made = run_module("throwaway_server", {
        "state": "present", "directory": str(tmp_path / "far"), "described": described["described"],
        "name": "proving", "host": "127.0.0.1",
    })  # fmt: skip
    assert "server" in made, made
    done = run_module("backup", {
        **login, **near, "application": "autotest", "environment_name": "test", "keep_scratch": True,
        "proof_at": made["server"],
    })  # fmt: skip
    assert done.get("msg") is None, done
    asked = ("psql", "-U", "postgres", "-Atc", "SELECT count(*) FROM t")
    assert docker("exec", there, *asked, "-h", "/var/run/postgresql", "far_scratch") == "1000"
    assert docker("inspect", "--format", "{{.HostConfig.NetworkMode}} {{.Image}}", there) == "none " + docker(
        "inspect", "--format", "{{.Image}}", contained.container
    )
    assert contained.execute("SELECT datname FROM pg_database WHERE datname ~ 'scratch'") == []
    where = done["restored_copy"]
    assert where["container"] == contained.container
    assert docker("exec", contained.container, *asked, "-h", where["container_socket_dir"], "far_scratch") == "1000"
    entering = ["docker", "exec", "-u", "postgres", contained.container, "ls", where["container_socket_dir"]]
    assert b"Permission denied" in subprocess.run(entering, capture_output=True, check=False).stderr
    again = run_module("restore_test", {
        **login, **where["location"], "container": where["container"], "directory": str(tmp_path / "near"),
        "container_socket_dir": where["container_socket_dir"],
    })  # fmt: skip
    assert again.get("msg") is None, again
    run_module("scratch_database", {**login, "directory": str(tmp_path / "near")})
    assert docker("ps", "--all", "--quiet", "--filter", f"name={there}") == ""
    assert [each for each in (contained.socket_dir / "copy", *tmp_path.glob("*/throwaway")) if each.exists()] == []
