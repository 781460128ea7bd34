# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dump is, is seen on the controller."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.modules import run_ansible

pytestmark = pytest.mark.once  # needs no server


def test_a_plain_dump(tmp_path: Path) -> None:
    path = tmp_path / "backup.sql"
    path.write_text("-- Dumped from database version 16.1\nCREATE TABLE a (x int);\nCOPY a FROM stdin;\n1\n\\.\n")
    for flags in ((), ("--check",)):
        found = run_ansible("slipway.deploy.dump_file", {"path": str(path)}, tmp_path, *flags)
        assert (found["changed"], found["dump"]) == (False, {
            "path": str(path), "name": "backup.sql", "kind": "sql", "shown": "a plain dump of PostgreSQL 16.1",
            "size": path.stat().st_size, "expanded": path.stat().st_size, "version": "16.1", "tables": ["a"], "rows": 1,
        })  # fmt: skip


def test_what_is_none(tmp_path: Path) -> None:
    found = run_ansible("slipway.deploy.dump_file", {"path": str(tmp_path / "nothing.sql")}, tmp_path)
    assert found["msg"].startswith("Can't read nothing.sql: No such file or directory; ")
