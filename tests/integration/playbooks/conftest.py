# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment that the tests of whole playbooks in containers share, one for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.environment import Containers, shared_host


@pytest.fixture(scope="module")
def shared() -> Iterator[Containers]:
    with shared_host(Containers) as environment:
        yield environment
