# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a directory is read, and that all of it is of one moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
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
