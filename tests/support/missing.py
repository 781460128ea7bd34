# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine lacks that a test needs."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """End the test: it fails where nothing may be left out, as in CI (SLIPWAY_TEST_ALL).

    Elsewhere it is skipped, since nobody needs root, Node.js or a browser to work on the rest.
    """
    # A developer's machine may lack it, so that there it is left out and told; CI, which sets the variable, fails.
    pytest.fail(what) if os.environ.get("SLIPWAY_TEST_ALL") else pytest.skip(what)
