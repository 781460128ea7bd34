# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a directory is read, and that all of it is of one moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.directory import opened
from ansible_collections.slipway.deploy.plugins.plugin_utils._migration.files import read


def write(directory: Path, name: str, content: bytes | str = b"") -> Path:
    file = directory / name / "migration.sql"
    file.parent.mkdir()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(SlipwayError, match=r"^There is no directory of migrations 'm' on the controller: correct"):
        read(str(tmp_path / "m"), "m")


def test_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("")
    with pytest.raises(SlipwayError, match=r"^'m' is not a directory: name the directory that holds the migrations\.$"):
        read(str(tmp_path / "m"), "m")


def test_an_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "1_a" / "migration.sql").mkdir(parents=True)
    with pytest.raises(SlipwayError, match=r"^Can't read m/1_a/migration.sql: Is a directory; make it a file"):
        read(str(tmp_path), "m")


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    os.truncate(write(tmp_path, "1_a"), 2 * 1024**3)
    with pytest.raises(SlipwayError, match=r"^m/1_a/migration.sql has 2048 MiB, more than the 64 MiB that a migration"):
        read(str(tmp_path), "m")


def test_a_name_that_cant_be_recorded(tmp_path: Path) -> None:
    os.mkdir(os.fsencode(tmp_path) + b"/1_\xff")
    with pytest.raises(
        SlipwayError, match=r"can't be recorded: rename the directory to at most 255 characters of valid"
    ):
        read(str(tmp_path), "m")


def test_what_is_no_path() -> None:
    with pytest.raises(SlipwayError, match=r"^Can't read the directory of migrations 'm': embedded null byte; correct"):
        read("m\0", "m")


def test_a_file_that_is_not_there_has_no_content(tmp_path: Path) -> None:
    with opened(str(tmp_path), "m") as directory:
        assert directory.content("none.sql") is None
        assert directory.identity("none.sql") is None


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (
        opened(str(tmp_path), "m") as directory,
        pytest.raises(SlipwayError, match=r"^Can't read m/pipe: It is not a regular file; make it a file that you can"),
    ):
        directory.content("pipe")


CHANGES: dict[str, Callable[[Path], object]] = {
    "another file": lambda path: (path / "1_a" / "migration.sql").write_text("SELECT 2"),
    "one more migration": lambda path: (path / "2_b").mkdir(),
    "one migration less": lambda path: shutil.rmtree(path / "1_a"),
    "a file that was not there": lambda path: (path / "1_a" / "down.sql").write_text(""),
    "another directory in its place": lambda path: (path.rename(path.with_name("old")), shutil.copytree(
        path.with_name("old"), path)),
    "no directory": lambda path: path.rename(path.with_name("old")),
}  # fmt: skip


@pytest.mark.parametrize("change", [*CHANGES, ""])
def test_what_was_read_is_of_one_moment(tmp_path: Path, change: str) -> None:
    path = tmp_path / "m"
    path.mkdir()
    write(path, "1_a", "SELECT 1")
    with opened(str(path), "m") as directory:
        names = directory.names()
        assert (names, directory.content("1_a/migration.sql")) == (["1_a"], b"SELECT 1")
        assert directory.content("1_a/down.sql") is None
        moment = directory.insist_unchanged(str(path), names)
        assert moment.lasts(str(path))
        if not change:
            return
        CHANGES[change](path)
        assert not moment.lasts(str(path))
        with pytest.raises(
            SlipwayError, match=r"^The directory of migrations 'm' was changed while it was read: run ag"
        ):
            directory.insist_unchanged(str(path), names)


def test_a_directory_of_the_same_names_is_another(tmp_path: Path) -> None:
    path = tmp_path / "m"
    (path / "1_a").mkdir(parents=True)
    with opened(str(path), "m") as directory:
        moment = directory.insist_unchanged(str(path), ["1_a"])
        path.rename(tmp_path / "old")
        (path / "1_a").mkdir(parents=True)
        assert not moment.lasts(str(path))
