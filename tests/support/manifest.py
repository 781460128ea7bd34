# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest to be compared with others, without a backup."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest, Reading, SequenceValue

MOMENT = datetime.datetime(2025, 8, 6, 9, 30, 12, 345678, tzinfo=datetime.UTC)
OBJECTS = {
    ("table", "public.t"): "",
    ("owner of", "public.t"): "owner",
    ("rights on", "system function pg_catalog.pg_sleep(double precision) for PUBLIC"): "EXECUTE",
    ("tablespace of", "public.t"): "away",
}
READING = Reading({"public.t": 3}, {"public.s": SequenceValue(3, True)}, OBJECTS, (), "a query's")


def manifest(number: int = 1, **more: Any) -> Manifest:
    plain = Manifest(
        name=f"n{number}", application="autotest", environment="test", database="autotest", release="1",
        server_version="16.14", server_major=16, system_identifier="1",
        started=f"2025-08-06T09:30:{number:02}.000+00:00",
        finished="", dump=f"n{number}.dump", size=1, sha256="", database_size=1, tables=dict(READING.tables), rows=3,
        sequences={"public.s": {"last": 3, "called": True}}, objects=READING.kinds, schema_digest=READING.digest,
        migrations=[], seconds={},
    )  # fmt: skip
    return dataclasses.replace(plain, **more)
