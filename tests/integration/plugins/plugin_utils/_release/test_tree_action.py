# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive is sent only where its digest is new."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.release import Module

pytestmark = pytest.mark.once


@pytest.fixture
def tree(tmp_path: Path) -> Module:
    source = tmp_path / "page"
    (source / "js").mkdir(parents=True)
    (source / "index.html").write_text("one")
    (source / "js" / "run.js").write_text("run")
    (source / "js" / "run.js").chmod(0o700)
    (source / "latest").symlink_to("index.html")
    return Module("tree", tmp_path)


def test_a_missing_directory(tree: Module) -> None:
    missing = tree.home / "none"
    assert tree(src=str(missing), dest="/nowhere")["msg"] == (
        f"{missing} is not a directory on the controller: name the directory that holds the release."
    )
