# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of backups: what is one, what is wrong with one, and what an interrupted run has left there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup import store
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from support.manifest import manifest

DUMP = b"rows"


def whole(directory: Path, number: int = 1) -> Manifest:
    """A backup as a run publishes it."""
    found = manifest(number, size=len(DUMP), sha256=checksum(directory, DUMP))
    with store.new_file(directory / f"{found.dump}{store.PARTIAL}") as opened:
        opened.write(DUMP)
    store.publish(directory, found)
    return found


def checksum(directory: Path, content: bytes) -> str:
    file = directory / "content"
    file.write_bytes(content)
    try:
        return store.checksum(file)
    finally:
        file.unlink()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_checksum_is_sha256(tmp_path: Path) -> None:
    assert checksum(tmp_path, b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert checksum(tmp_path, b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_backup_is_published_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    backup = whole(tmp_path)
    assert names(tmp_path) == ["n1.dump", "n1.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert store.entries(tmp_path, verify=True) == [store.Entry("n1", backup)]
    assert store.without_manifest(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "verify", "said"),
    [
        (DUMP, True, ""),
        (None, False, "The dump n1.dump is missing."),
        (b"row", False, "The dump n1.dump has 3 bytes, its manifest says 4."),
        (b"rows too", False, "The dump n1.dump has 8 bytes, its manifest says 4."),
        (b"swor", False, ""),
        (b"swor", True, "The dump n1.dump was altered: its SHA-256 is not the one in its manifest."),
    ],
)
def test_what_is_wrong_with_a_dump(tmp_path: Path, content: bytes | None, verify: bool, said: str) -> None:
    backup = whole(tmp_path)
    (tmp_path / backup.dump).unlink()
    if content is not None:
        (tmp_path / backup.dump).write_bytes(content)
    assert store.damage(tmp_path, backup, verify) == said
    assert [entry.problem for entry in store.entries(tmp_path, verify)] == [said]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b'{"format": 2}'])
def test_a_manifest_that_can_not_be_read_has_a_name_and_a_problem(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "n9.json").write_bytes(text)
    (entry,) = store.entries(tmp_path)
    assert (entry.name, entry.manifest) == ("n9", None)
    assert entry.problem


def test_a_directory_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert store.entries(tmp_path / "none") == []
    assert store.without_manifest(tmp_path / "none") == []


def test_what_an_interrupted_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    whole(tmp_path)
    for name in ("n2.dump.partial", "n3.json.partial", "mine.partial", "n4.dump"):
        (tmp_path / name).write_text("")
    assert store.remove_partial(tmp_path) == ["n2.dump.partial", "n3.json.partial"]
    assert names(tmp_path) == ["mine.partial", "n1.dump", "n1.json", "n4.dump"]
    assert store.without_manifest(tmp_path) == ["n4.dump"]


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    first, second = whole(tmp_path, 1), whole(tmp_path, 2)
    (tmp_path / first.dump).unlink()
    for backup in (first, first, second):
        store.remove(tmp_path, backup)
    assert names(tmp_path) == []


def test_one_run_at_a_time(tmp_path: Path) -> None:
    directory = tmp_path / "backups" / "shop"
    with store.locked(directory):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        with pytest.raises(SlipwayError) as caught, store.locked(directory):
            pass
        assert str(caught.value) == (
            f"Another backup or restore is at work in {directory}: run again when it has ended."
        )
    with store.locked(directory):
        pass


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "n1.dump").write_text("mine")
    found = pytest.raises(SlipwayError, match=rf"^Can't use {tmp_path}/n1\.dump: File exists; ")
    with found, store.new_file(tmp_path / "n1.dump"):
        pass
    assert (tmp_path / "n1.dump").read_text() == "mine"


@pytest.mark.parametrize("free_there", [None, 10**15])
def test_enough_space(tmp_path: Path, free_there: int | None) -> None:
    store.check_space(tmp_path / "not" / "yet", 1, "/no-such-directory", 1, free_there)


@pytest.mark.parametrize(
    ("needed", "needed_there", "free_there", "where"),
    [
        (10**18, 1, None, "backups"),
        (1, 1000, 999, "/no-such-directory"),
    ],
)
def test_too_little_space(tmp_path: Path, needed: int, needed_there: int, free_there: int | None, where: str) -> None:
    with pytest.raises(SlipwayError) as caught:
        store.check_space(tmp_path / "backups", needed, "/no-such-directory", needed_there, free_there)
    said = str(caught.value)
    assert f" are free in {tmp_path / where}, but " in said
    assert said.endswith(
        " are wanted to dump and restore: free some space, name another directory, or lower space_factor."
    )


def test_on_one_file_system_both_needs_are_added(tmp_path: Path) -> None:
    about = os.statvfs(tmp_path)
    most = int(about.f_bavail * about.f_frsize * 0.6)
    store.check_space(tmp_path, most, str(tmp_path), most, None)  # what is free there is not known
    with pytest.raises(SlipwayError, match="are wanted to dump and restore"):
        store.check_space(tmp_path, most, str(tmp_path), most, 10**18)
    store.check_space(tmp_path, most, "/proc", most, 10**18)
