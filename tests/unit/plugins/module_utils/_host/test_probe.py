# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a directory is or will be, how much is free there, and who asks."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._host.probe import existing, free_megabytes, user_name


def test_the_nearest_directory_that_exists(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert existing(tmp_path / "there") == tmp_path / "there"
    assert existing(tmp_path / "there" / "a" / "b") == tmp_path / "there"
    assert existing(Path("/no-such-directory/a")) == Path("/")


def test_what_is_free_where_a_directory_will_be(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / 2**20
    assert free_megabytes(tmp_path / "not" / "yet") == pytest.approx(free, abs=1024)


def test_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_name() == pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)  # as in a container that has no such user
    assert user_name() == "uid 4000000000"
