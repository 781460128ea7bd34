# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON API under /api/v1. Reading what the dashboard shows is public; all else needs a bearer token."""

from __future__ import annotations

from fastapi import APIRouter

from autotest.api import builds, releases, scheduled_tests, teams, users

router = APIRouter(prefix="/api/v1")
for part in (users, teams, builds, releases, scheduled_tests):
    router.include_router(part.router)
