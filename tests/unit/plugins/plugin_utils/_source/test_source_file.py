# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that is made from the schema is written once."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._source.source_file import kept


def test_from_nothing_to_a_change(tmp_path: Path) -> None:
    path = tmp_path / "new" / "schema.sql"
    assert kept(path, "a\n", "it", True)["actions"] == [f"Would write it to {path}."]
    assert not path.parent.exists()
    assert kept(path, "a\n", "it", False)["actions"] == [f"Wrote it to {path}."]
    assert path.read_text() == "a\n"
    for check in (True, False):
        assert kept(path, "a\n", "it", check)["current"]
    again = kept(path, "b\n", "it", True)
    assert (again["changed"], again["diff"]["before"], again["diff"]["after"]) == (True, "a\n", "b\n")
    assert path.read_text() == "a\n"


def test_what_is_no_file_stays(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        kept(tmp_path, "a\n", "it", False)
