# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.module_utils._host import secret_files


def test_they_are_their_readers_alone(tmp_path: Path) -> None:
    directory, files, uid = tmp_path / "all" / "one", {"URL": "ü", "KEY": "k"}, os.geteuid()
    assert secret_files.differs(directory, files)
    secret_files.write(directory, files)
    modes = [
        path.stat().st_mode & 0o777 for path in (directory.parent, directory, directory / "URL", directory / "KEY")
    ]
    assert modes == [0o700, 0o700, 0o600, 0o600]
    assert (directory / "URL").read_text(encoding="utf-8") == "ü"
    assert not secret_files.differs(directory, files)
    assert not secret_files.differs(directory, files, uid)
    assert secret_files.differs(directory, {"URL": "ü"}, uid)
    assert secret_files.differs(directory, {**files, "KEY": "another"}, uid)
    assert secret_files.differs(directory, files, uid + 1)
    for wider in (directory / "KEY", directory):
        wider.chmod(0o755)
        assert secret_files.differs(directory, files, uid)
        secret_files.write(directory, files, uid)
        assert not secret_files.differs(directory, files, uid)
    secret_files.write(directory, {"KEY": "k"}, uid)
    assert not secret_files.differs(directory, {"KEY": "k"}, uid)


def test_who_may_not_give_them_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    with pytest.raises(SlipwayError, match=r"to uid 10001, which reads them in a container \(.*become root"):
        secret_files.write(tmp_path / "one", {"KEY": "k"}, 10001)
