# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of several modules begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Postgres
from support.backup import Site
from support.migrations import Ansible


@pytest.fixture
def site(postgres: Postgres, tmp_path: Path) -> Site:
    """A database with one small table, and an empty place for its backups."""
    found = Site(postgres, postgres.database(), tmp_path / "backups")
    found.execute("CREATE TABLE t (id serial PRIMARY KEY, x text)")
    found.execute("INSERT INTO t (x) SELECT repeat('x', 200) || g FROM generate_series(1, 1000) g")
    return found


@pytest.fixture
def ansible(postgres: Postgres, tmp_path: Path) -> Ansible:
    """A fresh database, with no directory of migrations yet."""
    return Ansible(postgres, postgres.database(), tmp_path)
