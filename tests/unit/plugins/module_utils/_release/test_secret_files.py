# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories are left over; tests/integration/plugins/modules/test_secret_files.py has those of containers."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.slipway.deploy.plugins.module_utils._release.secret_files import unused


def test_a_directory_that_is_alone_asks_no_engine(tmp_path: Path) -> None:
    (tmp_path / "all" / "one").mkdir(parents=True)
    assert unused(tmp_path / "all" / "one") == unused(tmp_path / "none" / "one") == []
