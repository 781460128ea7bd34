# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run that succeeded, and of one that failed."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.deployment_record import Phase, Record

RECORD = Record(
    application="shop", environment="test", verb="deploy", release="3f1d", started="2026-01-02T03:04:05+00:00",
    finished="2026-01-02T03:05:05+00:00", status="succeeded",
    phases=[Phase("database", "db", "ok", 2.5), Phase("release", "one", "ok", 10.25)], facts={"backup": "none is due"},
)  # fmt: skip
FAILED = replace(RECORD, status="failed", failed_phase="migrate", error="db: there is no such table")
