# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a run that succeeded, and of one that failed; and one that has all that a record can have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.plugin_utils._run.deployment_record import Phase, Record
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.evidence import evidence
from support.rehearsals import REHEARSAL

RECORD = Record(
    application="shop", environment="test", verb="deploy", release="3f1d", started="2026-01-02T03:04:05+00:00",
    finished="2026-01-02T03:05:05+00:00", status="succeeded",
    phases=[Phase("database", "db", "ok", 2.5), Phase("release", "one", "ok", 10.25)], facts={"backup": "none is due"},
)  # fmt: skip
FAILED = replace(RECORD, status="failed", failed_phase="migrate", error="db: there is no such table")


def column(name: str, kind: str = "bigint", *, required: bool = True, key: bool = False) -> dict[str, Any]:
    return {"name": name, "type": kind, "required": required, "key": key}


def relation(table: str, *columns: dict[str, Any], to: dict[str, str] | None = None) -> dict[str, Any]:
    references = [{"columns": [name], "table": target} for name, target in (to or {}).items()]
    return {"table": table, "columns": [column("id", key=True), *columns], "references": references}


USERS = relation("public.users", column("email", "text"))
BEFORE = [
    relation("public.orders", column("user_id"), column("total", "integer"), to={"user_id": "public.users"}),
    relation("public.legacy"),
    USERS,
]
AFTER = [
    relation("public.order_lines", column("order_id"), to={"order_id": "public.orders"}),
    relation(
        "public.orders", column("user_id"), column("total", "numeric(12,2)", required=False), column("note", "text"),
        to={"user_id": "public.users"},
    ),
    USERS,
]  # fmt: skip
# As the results of modules have it.
FOUND: dict[str, Any] = {
    "former": "2e0c",
    "images": [{"name": "shop-backend:3f1d", "id": "sha256:" + "ab" * 32}, {"name": "nginx:1.28", "id": ""}],
    "applied": [
        {"name": "20260101000000_amounts_are_big", "seconds": 4.5, "statements": 3, "attempts": 2, "rolled_back": False,
         "blockers": []},
    ],
    "backup": {
        "changed": True,
        "backup": {
            "name": "shop-20260102T030405Z", "database": "shop", "finished": "2026-01-02T03:04:30+00:00",
            "size": 120_000,
            "sha256": "cd" * 32, "rows": 12_345, "tables": {"public.users": 345, "public.orders": 12_000},
            "proved": True,
            "server_version": "17.5", "unproved": ["an event trigger"], "seconds": {"dump": 1.5, "restore": 2.25},
            "contents": {"public.users": {}}, "role_definitions": ["CREATE ROLE shop_app"],
        },
        "offsite": {"problem": "The repository does not answer."},
    },
    "before": {"migrations": {"status": "pending"}, "schema": {"relations": BEFORE}},
    "verified": {
        "migrations": {"status": "up_to_date"}, "findings": [], "told": ["Role shop_app is a guest."],
        "schema": {"relations": AFTER, "tables": [{}, {}, {}], "rows": 12_345},
        "drift": [{"object": "index public.by_hand", "expected": None, "found": "CREATE INDEX by_hand"}],
        "drift_against": "snapshot",
    },
}  # fmt: skip
PROBE = {
    "tried": True, "reason": "", "shown": "2 requests answered as before", "serving": "2e0c", "new": "3f1d",
    "broken": "", "seconds": 2.5, "requests": [
        {"request": "GET /orders", "before": 200, "serving": 500, "new": 200, "steady": True,
         "serving_errors": ["column total does not exist"], "new_errors": []},
    ],
}  # fmt: skip
# As its file on the controller has it.
WHOLE: dict[str, Any] = {
    **replace(
        RECORD,
        revision="1234567890abcdef1234567890abcdef12345678-dirty",
        phases=[
            Phase("backup", "db", "ok", 4.0, "2026-01-02T03:04:10.000+00:00"),
            Phase("migrate", "db", "ok", 6.0, "2026-01-02T03:04:14.000+00:00"),
            Phase("release", "one", "failed", 20.0, "2026-01-02T03:04:20.000+00:00"),
            Phase("release", "two", "stopped", 10.0, "2026-01-02T03:04:20.000+00:00"),
        ],
        rehearsal=REHEARSAL,
        hooks=[{"hook": "after_release", "command": "./warm up", "started": "now", "seconds": 1.5, "output": "warm"}],
        probe=PROBE,
        evidence=evidence(FOUND),
    ).result(),
    "run": {"user": "zoe", "controller": "runner-7", "pid": 4711},
}
