# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._release import secret_files


def test_they_are_their_readers_alone(tmp_path: Path) -> None:
    directory, files, uid = tmp_path / "all" / "one", {"URL": "ü", "KEY": "k"}, os.geteuid()
    assert secret_files.differs(directory, files, uid)
    secret_files.write(directory, files, uid)
    assert not secret_files.differs(directory, files, uid)
    assert secret_files.differs(directory, {"URL": "ü"}, uid)
    assert secret_files.differs(directory, files, uid + 1)
    (directory / "KEY").chmod(0o640)
    assert secret_files.differs(directory, files, uid)
    secret_files.write(directory, {"KEY": "k"}, uid)
    assert not secret_files.differs(directory, {"KEY": "k"}, uid)
    assert secret_files.unused(directory) == []


def test_who_may_not_give_them_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(SlipwayError, match=r"to uid 10001, as whom its image runs \(.*become root"):
        secret_files.write(tmp_path / "one", {"KEY": "k"}, 10001)
