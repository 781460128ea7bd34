# SPDX-License-Identifier: GPL-3.0-or-later
"""One deployed environment for all tests, and fresh ones for those that need none before them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.environment import Environment, Outcome


@dataclass
class Deployed(Environment):
    """An environment with the outcome of its first deploy, and the rows that it seeded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.first: Outcome = self.deploy()
        self.seeded: dict[str, int] = self.rows()


def directory() -> Path:
    """A short path: a socket's has at most 107 bytes."""
    return Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir="/tmp"))


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """The environment that the tests share. Each leaves it deployed and up to date, except the very last."""
    environment = Deployed(directory())
    yield environment
    environment.play("playbooks/teardown.yml").succeeded()
    assert environment.processes() == {}
    shutil.rmtree(environment.directory)


@pytest.fixture(scope="module")
def fresh() -> Iterator[Environment]:
    """An environment that was never deployed and that the tests must leave so."""
    environment = Environment(directory())
    yield environment
    shutil.rmtree(environment.directory)
