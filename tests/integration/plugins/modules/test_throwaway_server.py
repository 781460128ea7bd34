# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy on a server of another host, which here is another directory of the same one, reached over the network."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import normalise
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway import socket_dir, working_there
from ansible_collections.slipway.deploy.plugins.module_utils._postgres.throwaway_remote import Description
from conftest import Postgres
from support.backup import MODULES, ROOT, Site, contents, faulty, fill, run_module, schema_dump


@dataclass
class Proof:
    """The two hosts: that of a database, and the one on which its copy is proved."""

    site: Site
    directory: Path

    def describe(self, **more: Any) -> str:
        login = self.site.postgres.login(self.site.database)
        found = run_module(
            "throwaway_server", {"state": "described", "directory": str(self.site.directory), "login": login, **more}
        )
        assert "described" in found, found
        return str(found["described"])

    def make(self, described: str, **more: Any) -> dict[str, Any]:
        return run_module("throwaway_server", {
            "state": "present", "directory": str(self.directory), "bindir": str(self.site.postgres.bindir),
            "described": described, "name": "proving", "host": "127.0.0.1", "address": "127.0.0.1", **more,
        })  # fmt: skip

    def backup(self, **more: Any) -> dict[str, Any]:
        made = self.make(self.describe())
        assert "server" in made, made
        return self.site.backup(proof_at=made["server"], **more)

    def working(self) -> dict[str, list[str]]:
        """What runs on either host for a copy."""
        return {
            name: sorted(os.path.basename(os.fsdecode(command[0])) for _pid, _name, command in working_there(place))
            for name, place in (("near", self.site.directory / "throwaway"), ("far", self.directory / "throwaway"))
        }

    def left(self) -> list[Path]:
        """Everything that there is of it on either, when what was told to end has had time to do so."""
        wait_until(lambda: not any(self.working().values()), 5)
        homes = [self.site.directory / "throwaway", self.directory / "throwaway"]
        sockets = [socket_dir(home.parent).parent for home in homes]
        return [place for place in (*homes, *sockets) if place.exists()]


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def proof(site: Site, tmp_path: Path) -> Iterator[Proof]:
    found = Proof(site, tmp_path / "proof")
    yield found
    assert found.left() == []


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    found = Site(postgres, f"{postgres.database()} far=ünï", tmp_path / "backups")
    postgres.execute(f'CREATE DATABASE "{found.database}"')
    fill(found)
    return found


@contextlib.contextmanager
def statements(postgres: Postgres) -> Iterator[list[str]]:
    """What the live server is told meanwhile, by its own log."""
    postgres.execute("ALTER SYSTEM SET log_statement TO 'all'")
    postgres.execute("SELECT pg_reload_conf()")
    log = postgres.directory / "log"
    before = log.stat().st_size
    seen: list[str] = []
    try:
        yield seen
    finally:
        postgres.execute("ALTER SYSTEM RESET log_statement")
        postgres.execute("SELECT pg_reload_conf()")
        seen += log.read_bytes()[before:].decode(errors="replace").splitlines()


def test_the_live_server_never_has_the_copy(proof: Proof) -> None:
    """By the live server's own log, and by the copy's server, which is asked by a way of its own."""
    site, postgres = proof.site, proof.site.postgres
    with statements(postgres) as told:
        done = proof.backup(keep_scratch=True)
    assert done.get("msg") is None, done
    assert " on a server of its own at proving and compared 12 tables, 503 rows" in " ".join(done["actions"])
    assert [line for line in told if "CREATE DATABASE" in line or "FROM stdin" in line] == []
    assert any("TO stdout" in line for line in told)  # it was listened to
    assert site.databases() == []
    there = Postgres(postgres.version, postgres.bindir, proof.directory, socket_dir(proof.directory))
    assert there.execute("SHOW data_directory") == [(str(proof.directory / "throwaway" / "data"),)]
    assert [normalise(line) for line in schema_dump(there, done["scratch_db"])] == [
        normalise(line) for line in schema_dump(postgres, site.database)
    ]
    assert contents(there, done["scratch_db"]) == contents(postgres, site.database)
    # As the result says it, it is reached from the database's host.
    from_here = Path(done["restored_copy"]["location"]["login_unix_socket"])
    near = Postgres(postgres.version, postgres.bindir, proof.directory, from_here)
    assert from_here != socket_dir(proof.directory)
    assert near.execute("SELECT system_identifier::text FROM pg_control_system()") == there.execute(
        "SELECT system_identifier::text FROM pg_control_system()"
    )
    drop = {**postgres.login(site.database), "directory": str(site.directory)}
    assert run_module("scratch_database", drop)["actions"] == [
        f"Removed the throw-away server with database {done['scratch_db']}."
    ]
    assert not (proof.directory / "throwaway").exists()  # at once


def test_what_a_killed_run_left_is_removed(proof: Proof, tmp_path: Path) -> None:
    """By whatever comes next on the database's host, on both; and by the next one on the other, where it lost power."""
    bindir = faulty(
        proof.site.postgres.bindir, tmp_path / "bin", "pg_restore",
        f'case "$*" in *--dbname*) "$real" "$@"; echo > {tmp_path}/reached; exec sleep 60 ;; esac; exec "$real" "$@"',
    )  # fmt: skip
    made = proof.make(proof.describe())["server"]
    arguments = {**proof.site.common, "bindir": bindir, "proof_at": made}
    with subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.backup"], stdin=subprocess.PIPE, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        process.stdin.close()
        wait_until((tmp_path / "reached").exists)
        process.kill()
    assert [len(each) > 0 for each in proof.working().values()] == [True, True]
    done = proof.site.backup()
    assert any(each.endswith("throwaway, which a run left behind.") for each in done["actions"]), done
    assert proof.left() == []

    described = proof.describe()
    proof.make(described)
    for pid, _name, _command in working_there(proof.directory / "throwaway"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not proof.working()["far"])
    again = proof.make(described)
    assert again["actions"] == [
        f"Removed the throw-away server in {proof.directory}/throwaway, which a run left behind.",
        f"Started a server of PostgreSQL {proof.site.postgres.version} for the copy in {proof.directory}.",
    ]
    assert proof.site.backup(proof_at=again["server"])["backup"]["proved"]


def test_a_check_and_what_is_refused(proof: Proof, tmp_path: Path) -> None:
    described = proof.describe(_ansible_check_mode=True)
    version = proof.site.postgres.version
    assert Description.parse(described).certificate == ""
    assert proof.make(described, _ansible_check_mode=True)["actions"] == [
        f"Would start a server of PostgreSQL {version} for the copy in {proof.directory}."
    ]
    other = faulty(proof.site.postgres.bindir, tmp_path / "other", "initdb", "exit 1")
    (Path(other) / "initdb").write_text('#!/bin/sh\necho "initdb (PostgreSQL) 9.6.1"\n')
    huge = replace(Description.parse(described), size=1 << 60).text()
    for given, like, said in (
        ({"bindir": "/nowhere"}, described, "The program initdb is not in /nowhere: install the package postgresql-"),
        ({"bindir": other}, described,
         f"The server is PostgreSQL {version}, but the host's initdb says 'initdb (PostgreSQL) 9.6.1', so that no "
         "server of its own can be made for the copy: "),
        ({}, huge, "are wanted to dump and restore"),
    ):  # fmt: skip
        for check in (True, False):
            refused = proof.make(like, _ansible_check_mode=check, **given)
            assert said in refused["msg"]
    by_port = {**proof.site.postgres.login(proof.site.database), "login_unix_socket": "", "login_host": "10.0.0.1"}
    arguments = {"state": "described", "directory": str(proof.site.directory), "login": by_port, "container": "box"}
    assert run_module("throwaway_server", arguments)["msg"] == (
        "The server in container box is reached at 10.0.0.1:5432: name the directory of its socket on this host as "
        "login_unix_socket, through which its programs reach the other host."
    )
    assert (proof.directory.exists(), proof.site.directory.exists()) == (False, False)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = proof.make(proof.describe(), port=port)
    assert f"Nothing can listen on 127.0.0.1:{port} for the copy: " in refused["msg"]
    assert "; choose another port." in refused["msg"]
    assert not (proof.directory / "throwaway").exists()
    login = proof.site.postgres.login(proof.site.database)
    run_module("scratch_database", {**login, "directory": str(proof.site.directory)})
