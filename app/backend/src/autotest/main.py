# SPDX-License-Identifier: GPL-3.0-or-later
"""The application as uvicorn loads it: `uvicorn autotest.main:app`."""

from __future__ import annotations

import os

from autotest.config import ConfigError, Settings
from autotest.server import create_app

try:
    app = create_app(Settings.from_env(os.environ))
except ConfigError as error:
    raise SystemExit(f"autotest: {error}") from None
