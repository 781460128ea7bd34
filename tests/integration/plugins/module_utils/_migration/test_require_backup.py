# SPDX-License-Identifier: GPL-3.0-or-later
"""No migration without a backup of this database, proved by a restore: the files are believed, not what is said."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._migration.migrate import Files, migrate
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import context_from_params
from ansible_collections.slipway.deploy.plugins.module_utils._migration.undo import undo
from conftest import Postgres
from support.backup import Site
from support.migrations import Bed


class Proving(Bed):
    """Applies only with a proved backup."""

    backups: str | None = None

    @property
    def site(self) -> Site:
        return Site(self.postgres, self.database, Path(str(self.backups)))

    def apply(self) -> list[str]:
        given = {"require_backup": True, "backup_directory": self.backups, "snapshot": False}
        return migrate(self.server, self.files(), self.patience, context_from_params(given)).actions

    def undo_last(self) -> list[str]:
        given = {"require_backup": True, "backup_directory": self.backups, "snapshot": False}
        files = Files("migrations", self.schema, self.payload("down"), self.policy)
        return undo(self.server, files, [], 1, 5, False, context_from_params(given))[0]


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Proving:
    """A database that has one migration, and one row."""
    (tmp_path / "migrations").mkdir()
    bed = Proving(postgres, postgres.database(), tmp_path / "migrations")
    bed.backups = str(tmp_path / "backups")
    bed.write("1_a", "CREATE TABLE a (id int); INSERT INTO a VALUES (1)").with_name("down.sql").write_text(
        "DROP TABLE a"
    )
    return bed


def test_a_database_that_has_nothing_needs_no_backup(bed: Proving) -> None:
    bed.backups = None
    assert bed.apply()[0].startswith("Applied 1_a in ")


NONE = r"^Database 'test_\d+' has no proved backup of this run in .*/backups, so that it was left as it is: "


def test_one_with_a_history_does_each_time(bed: Proving, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.apply()
    for name in ("2_b", "3_c"):
        bed.write(name, f"CREATE TABLE {name[2]} ()").with_name("down.sql").write_text(f"DROP TABLE {name[2]}")
    with pytest.raises(SlipwayError, match=f"{NONE}there is none; see what the backup says, and run again.$"):
        bed.apply()
    assert bed.site.backup()["changed"]
    assert len(bed.apply()) == 2
    with pytest.raises(SlipwayError, match=rf"{NONE}the newest, \S+, was taken before the history changed \('2_b'\);"):
        bed.undo_last()
    assert bed.tables() == ["a", "b", "c"]
    bed.site.backup()
    run = f"{int(datetime.datetime.now(datetime.UTC).timestamp() * 1000)} {bed.backups}"
    (Path(str(bed.backups)) / "fence").write_text(run.split()[0])
    monkeypatch.setenv("SLIPWAY_FENCE", run)
    with pytest.raises(SlipwayError, match=rf"{NONE}the newest, \S+, was taken before this run began;"):
        bed.undo_last()
    monkeypatch.delenv("SLIPWAY_FENCE")
    bed.site.backup()
    monkeypatch.setenv("SLIPWAY_FENCE", run)
    assert bed.undo_last() == ["3_c"]


def edit(**changes: object) -> Callable[[Path], None]:
    def change(manifest: Path) -> None:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **changes}))

    return change


def flip(manifest: Path) -> None:
    dump = manifest.with_suffix(".dump")
    content = bytearray(dump.read_bytes())
    content[-1] ^= 1
    dump.write_bytes(content)


DAMAGES = [
    (edit(system_identifier="1"), "is of another server, 1"),
    (edit(database="other"), "is of database 'other'"),
    (edit(proved=False), "was not proved by a restore"),
    (edit(size=1), r"The dump \S+ has [\d,]+ bytes, its manifest says 1"),
    (flip, r"The dump \S+ was altered: its SHA-256 is not the one in its manifest"),
    (lambda manifest: manifest.with_suffix(".dump").unlink(), r"The dump \S+ is missing"),
    (lambda manifest: manifest.write_text("{"), "The manifest of backup '.*' can't be read"),
]


def test_what_is_wrong_with_a_backup_is_found(bed: Proving) -> None:
    bed.apply()
    bed.write("2_b", "CREATE TABLE b ()")
    bed.site.backup()
    directory = Path(str(bed.backups))
    kept = {path: path.read_bytes() for path in directory.iterdir()}
    for damage, expected in DAMAGES:
        damage(next(path for path in kept if path.suffix == ".json"))
        with pytest.raises(SlipwayError, match=rf"{NONE}the newest, \S+, {expected}"):
            bed.apply()
        for path, content in kept.items():
            path.write_bytes(content)
    assert len(bed.apply()) == 1


@pytest.mark.parametrize("directory", [None, ""])
def test_a_directory_that_is_not_named_holds_none(bed: Proving, directory: str | None) -> None:
    bed.apply()
    bed.write("2_b", "CREATE TABLE b ()")
    bed.backups = directory
    with pytest.raises(SlipwayError, match=r"^No directory of backups is named \(backup_directory\): name the one"):
        bed.apply()


@pytest.mark.parametrize("sql", ["CREATE TABLE other.t ()", "SELECT lo_create(0)", "CREATE SEQUENCE other.s"])
def test_what_lies_elsewhere_can_be_lost_too(bed: Proving, sql: str) -> None:
    bed.sql(f"CREATE SCHEMA other; {sql}")
    with pytest.raises(SlipwayError, match=NONE):
        bed.apply()
