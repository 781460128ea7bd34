# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rehearsal saw, as the module migrations returns it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.slipway.deploy.plugins.module_utils._migration.impact import Impact, Touched, Use, results

ORDERS = Touched(
    "public.orders", {"ACCESS EXCLUSIVE": 4.21}, 1_200_000_000, 1_310_000_000, True,
    {"scans": 2, "rows_read": 24_000_000, "rows_inserted": 0, "rows_updated": 0, "rows_deleted": 0},
    Use(1_210_000_000, 35.2, 3.5, ("SELECT * FROM orders WHERE id = $1",)),
)  # fmt: skip
USERS = replace(ORDERS, table="shop.users", locks={"SHARE": 0.31, "ROW SHARE": 2.0}, rewritten=False, live=None)
QUICK = replace(USERS, locks={"ACCESS EXCLUSIVE": 0.1}, counts={}, size_after=None)
SEEN = [
    Impact("20260101000000_amounts_are_big", 4.25, 1_400_000_000, True, 3_000_000_000, 3_110_000_000, True,
           (ORDERS, USERS)),
    Impact("20260102000000_quick", 0.11, 2048, False, 3_110_000_000, 3_110_000_000, False, (QUICK,)),
]  # fmt: skip
REHEARSAL: list[dict[str, Any]] = results(SEEN)
