# SPDX-License-Identifier: GPL-3.0-or-later
"""A table's rows are counted, estimated or not known, and that can be seen."""

from __future__ import annotations

from ansible_collections.slipway.deploy.plugins.filter.table_sizes import FilterModule

TABLE = {"schema": "public", "name": "t", "rows": 1234, "exact": True, "bytes": 8192, "hidden": ""}


def test_rows() -> None:
    sizes = FilterModule().filters()["table_sizes"]
    tables = [TABLE, {**TABLE, "exact": False, "rows": 2_000_000}, {**TABLE, "rows": None, "hidden": "it may not read"}]
    assert sizes(tables) == [
        ["public.t", "1,234", "8 kB"], ["public.t", "~2,000,000", "8 kB"], ["public.t", "?", "8 kB"],
    ]  # fmt: skip
    assert sizes([]) == []
