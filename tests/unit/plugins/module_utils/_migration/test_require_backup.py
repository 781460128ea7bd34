# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup stands for a database as it is now."""

from __future__ import annotations

import datetime
from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._backup.manifest import Manifest
from ansible_collections.slipway.deploy.plugins.module_utils._migration.require_backup import Subject, flaw

MANIFEST = Manifest(
    name="a", application="shop", environment="test", database="shop", release="1", server_version="17.1",
    server_major=17, system_identifier="7", started="2025-08-06T09:30:00.500+00:00", finished="", dump="a.dump", size=1,
    sha256="", database_size=1, tables={"public._prisma_migrations": 1}, rows=1, sequences={}, objects={},
    schema_digest="", migrations=["1_a", "2_b"], seconds={},
)  # fmt: skip
SUBJECT = Subject("shop", "7", frozenset(["1_a", "2_b"]))
BEFORE = datetime.datetime(2025, 8, 6, 9, 30, 0, tzinfo=datetime.UTC)

FLAWS = [
    ({}, {}, BEFORE, ""),
    ({}, {}, None, ""),
    ({}, {"system_identifier": ""}, BEFORE, ""),
    ({"system_identifier": ""}, {}, BEFORE, ""),
    ({"database": "other"}, {}, BEFORE, "is of database 'other'"),
    ({"system_identifier": "8"}, {}, BEFORE, "is of another server, 8"),
    ({"proved": False}, {}, BEFORE, "was not proved by a restore"),
    ({}, {}, BEFORE + datetime.timedelta(seconds=1), "was taken before this run began"),
    ({"migrations": ["1_a"]}, {}, BEFORE, "was taken before the history changed ('2_b')"),
    ({"migrations": ["1_a", "2_b", "3_c"]}, {}, BEFORE, "was taken before the history changed ('3_c')"),
    ({"migrations": ["1_a", "2_b", "x"], "tables": {"a._prisma_migrations": 2, "b._prisma_migrations": 1}}, {}, BEFORE,
     ""),
]  # fmt: skip


@pytest.mark.parametrize(("manifest", "subject", "since", "expected"), FLAWS)
def test_flaws(
    manifest: dict[str, object], subject: dict[str, str], since: datetime.datetime | None, expected: str
) -> None:
    assert flaw(replace(MANIFEST, **manifest), replace(SUBJECT, **subject), since) == expected  # type: ignore[arg-type]  # a table
