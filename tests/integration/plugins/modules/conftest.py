# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of several modules need that no other does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Postgres, start


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """A cluster of its own, since it is killed."""
    directory = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    server = start(request.config.getoption("--pg-version"), directory)
    yield server
    server.run("pg_ctl", "-D", str(directory / "data"), "-m", "immediate", "-w", "stop")
    shutil.rmtree(directory)
