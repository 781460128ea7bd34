# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the migration engine begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Postgres
from support.migrations import Bed


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Bed:
    """A fresh database, with no migrations yet."""
    return Bed(postgres, postgres.database(), tmp_path)


@pytest.fixture
def filled(bed: Bed) -> Bed:
    """One with a table and a schema that a migration made."""
    bed.write("1_t", "CREATE TABLE t (n int, v varchar(10), d numeric(10, 2)); CREATE SCHEMA s")
    bed.migrate()
    return bed
