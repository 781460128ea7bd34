# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups away from their host, in a directory, over SFTP and in S3: sent, listed, fetched, refused when altered."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Postgres
from support import offsite
from support.backup import Site, contents, run_module
from support.offsite import PASSWORD, SECRET, Place

pytestmark = pytest.mark.once  # the copies are files, whatever server they are of

PLACES = {"directory": offsite.directory, "sftp": offsite.sftp, "s3": offsite.s3}


@pytest.fixture(scope="module", autouse=True)
def restic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", offsite.path_with_restic(tmp_path_factory.mktemp("restic")))
        yield


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    found = Site(postgres, postgres.database(), tmp_path / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute("INSERT INTO t (x) SELECT 'first' FROM generate_series(1, 1000) g")
    return found


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Place]:
    with offsite.directory(tmp_path) as place:
        yield place


def places(site: Site, away: Place, **more: Any) -> dict[str, str]:
    return {backup["name"]: backup["where"] for backup in site.info(**away.arguments, **more)["backups"]}


def snapshots(away: Place) -> list[str]:
    """The names of the backups that restic itself lists."""
    told = json.loads(away.restic("snapshots", "--json"))
    return sorted(tag[len("backup=") :] for each in told for tag in each["tags"] if tag.startswith("backup="))


@pytest.mark.parametrize("kind", PLACES)
def test_sent_listed_and_restored_from_there_alone(site: Site, tmp_path: Path, kind: str) -> None:
    with PLACES[kind](tmp_path) as away:
        check = site.backup(check=True, **away.arguments)
        assert check["actions"][-1] == f"Would then send it to {away.repository}."
        assert not away.files.exists() or list(away.files.iterdir()) == []

        first = site.backup(release="1, a=b", **away.arguments)
        name = first["backup"]["name"]
        assert (first["offsite"], first["shown"]) == ({"problem": ""}, name)
        sent = [each for each in first["actions"] if each.startswith(f"Sent backup {name} (")]
        assert [each.endswith(f" to {away.repository}.") for each in sent] == [True]
        assert snapshots(away) == [name]
        assert hashlib.sha256(bytes(away.restic("dump", "latest", f"/{name}.json"), "utf-8")).hexdigest() == (
            hashlib.sha256((site.directory / f"{name}.json").read_bytes()).hexdigest()
        )
        assert places(site, away) == {name: "both"}
        before = contents(site.postgres, site.database)

        # The host is lost with all its backups.
        shutil.rmtree(site.directory)
        site.execute("UPDATE t SET x = 'second'")
        listed = site.info(verify=True, **away.arguments)["backups"]
        assert [(each["name"], each["where"], each["proved"], each["rows"], each["release"]) for each in listed] == [
            (name, "away", True, 1000, "1, a=b")
        ]
        check = site.restore(check=True, **away.arguments)
        assert check["actions"][0].startswith(f"Would fetch backup {name} (")
        assert contents(site.postgres, site.database) != before
        done = site.restore(**away.arguments)
        assert done["actions"][0].startswith(f"Fetched backup {name} (")
        assert contents(site.postgres, site.database) == before
        assert site.files() == [f"{name}.dump", f"{name}.json", "offsite"]
        assert {path.stat().st_mode & 0o777 for path in site.directory.iterdir() if path.is_file()} == {0o600}
        assert places(site, away) == {name: "both"}


def test_what_could_not_be_sent_is_sent_later(site: Site, away: Place, tmp_path: Path) -> None:
    lost = {**away.arguments, "offsite": str(tmp_path / "file" / "away")}
    (tmp_path / "file").write_text("no directory")
    failed = site.backup(**lost)
    name = failed["backup"]["name"]
    assert failed["changed"]
    assert failed["offsite"]["problem"].startswith(
        f"Backup {name} is proved and on this host, but was not sent: restic snapshots failed at the repository"
    )
    assert failed["offsite"]["problem"] in json.dumps(failed["warnings"])
    assert failed["shown"] == f"{name} ({failed['offsite']['problem']})"
    assert "not sent" in site.backup(**lost, offsite_insist=True)["msg"]

    site.execute("INSERT INTO t (x) VALUES ('more')")
    last = site.backup(**away.arguments)["backup"]["name"]
    assert snapshots(away) == sorted(places(site, away)) != [last]
    assert set(places(site, away).values()) == {"both"}


def test_a_wrong_password_and_a_repository_that_is_gone(site: Site, away: Place) -> None:
    name = site.backup(**away.arguments)["backup"]["name"]
    wrong = {**away.arguments, "offsite_password": "another one"}
    for found in (site.backup(**wrong)["offsite"]["problem"], site.info(**wrong)["offsite"]["problem"]):
        assert "wrong password or no key found" in found
        assert "another one" not in found.replace("another one that", "")
    assert snapshots(away) == [name]

    away.files.rename(away.files.with_name("unmounted"))
    problem = site.backup(**away.arguments)["offsite"]["problem"]
    assert "Backups were sent there before: see that it is there" in problem
    assert not away.files.exists()  # it is not made anew: that would hide that the others are gone
    missing = site.restore(backup="20200101T000000.000Z_none", **away.arguments)["msg"]
    assert missing.startswith("There is no backup '20200101T000000.000Z_none' in")
    assert "restic snapshots failed" in missing
    assert site.restore(**away.arguments)["restore"]["backup"]  # one that is here needs no repository


def test_an_altered_copy_is_refused(site: Site, away: Place) -> None:
    name = site.backup(**away.arguments)["backup"]["name"]
    shutil.rmtree(site.directory)
    packs = [path for path in away.files.glob("data/*/*") if path.stat().st_size > 1000]
    for pack in packs:
        content = bytearray(pack.read_bytes())
        content[len(content) // 3] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(content)
    listed = site.info(verify=True, **away.arguments)["backups"]
    assert [(each["proved"], each["problem"][:28]) for each in listed] == [(False, "The copy of backup '" + name[:8])]
    before = contents(site.postgres, site.database)
    refused = site.restore(**away.arguments)["msg"]
    assert refused.startswith(f"The copy of backup '{name}' in {away.repository} can't be used: restic restore failed")
    assert contents(site.postgres, site.database) == before
    assert site.databases() == []
    assert site.files() == ["offsite"]


def test_a_copy_that_somebody_with_the_password_altered_is_refused(site: Site, away: Place, tmp_path: Path) -> None:
    name = site.backup(**away.arguments)["backup"]["name"]
    snapshot = json.loads(away.restic("snapshots", "--json"))[0]
    forged = tmp_path / "forged"
    away.restic("restore", snapshot["id"], "--target", str(forged))
    dump = forged / f"{name}.dump"
    content = bytearray(dump.read_bytes())
    content[-1] ^= 1
    dump.write_bytes(content)
    away.restic("forget", snapshot["id"])
    told = [word for tag in snapshot["tags"] for word in ("--tag", tag)]
    with contextlib.chdir(forged):
        away.restic("backup", *told, dump.name, f"{name}.json")
    shutil.rmtree(site.directory)
    refused = site.restore(**away.arguments)["msg"]
    assert refused == (
        f"The copy of backup '{name}' in {away.repository} can't be used: The dump {name}.dump was altered: its "
        "SHA-256 is not the one in its manifest. Choose another backup."
    )
    assert site.files() == ["offsite"]


def test_what_is_kept_there(site: Site, away: Place) -> None:
    names = []
    for append_only in (True, True, False):
        site.execute("INSERT INTO t (x) VALUES ('more')")
        told = {"keep": 1, **away.arguments, "offsite_append_only": append_only}
        names.append(site.backup(**told)["backup"]["name"])
        if len(names) == 2:
            assert places(site, away) == {names[0]: "away", names[1]: "both"}
    assert snapshots(away) == names[2:]
    away.restic("check", "--read-data")
    # A new host has none, and what is there is pushed out by what is kept there alone.
    shutil.rmtree(site.directory)
    site.execute("INSERT INTO t (x) VALUES ('more')")
    names.append(site.backup(keep=2, **away.arguments)["backup"]["name"])
    assert snapshots(away) == names[2:]


def test_no_secret_is_in_an_argument_or_a_file(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    watching = tmp_path / "bin" / "restic"
    watching.parent.mkdir()
    watching.write_text(f'#!/bin/sh\necho "$@" >>{seen}\nexec {shutil.which("restic")} "$@"\n')
    watching.chmod(0o755)
    monkeypatch.setenv("PATH", f"{watching.parent}:{os.environ['PATH']}")
    with offsite.s3(tmp_path) as away:
        result = site.backup(**away.arguments)
    assert seen.read_text().count("backup --quiet") == 1
    texts = [json.dumps(result), seen.read_text()]
    texts += [path.read_text(errors="replace") for path in site.directory.rglob("*") if path.is_file()]
    for secret in (PASSWORD, SECRET):
        assert [text for text in texts if secret in text] == []
    address = site.backup(**{**away.arguments, "offsite": "rest:https://me:hidden@127.0.0.1/x"})["msg"]
    assert address == (
        "The address of the repository holds a password, and addresses are shown: take it out, and set "
        "RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD in its environment."
    )


def test_what_is_fetched_to_be_masked_is_not_left_here(site: Site, away: Place) -> None:
    production = Site(site.postgres, site.database, site.directory, environment="prod")
    name = production.backup(**away.arguments)["backup"]["name"]
    shutil.rmtree(site.directory)
    tables = {**production.common, "tables": ["t"], **away.arguments}
    check = run_module("restore_tables", {**tables, "_ansible_check_mode": True})
    assert check["actions"][0].startswith(f"Would fetch backup {name} (")
    schema = run_module("restore_tables", tables)["restore"]["schema"]
    assert site.execute(f"SELECT count(*) FROM {schema}.t") == [(1000,)]
    shutil.rmtree(site.directory)

    masked = site.restore(
        from_environment="prod",
        from_directory=str(site.directory / "nowhere"),
        masking={"t": {"x": "fixed"}},
        **away.arguments,
    )
    assert masked.get("msg") is None, masked
    assert site.execute("SELECT DISTINCT x FROM t") == [("masked",)]
    assert [file for file in site.files() if name in file] == []
