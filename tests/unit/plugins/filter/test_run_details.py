# SPDX-License-Identifier: GPL-3.0-or-later
"""One run in full."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.slipway.deploy.plugins.filter.run_details import FilterModule
from support.rehearsals import REHEARSAL
from support.runs import RECORD


def test_the_lines_of_a_run() -> None:
    assert FilterModule().filters()["run_details"]({**RECORD.result(), "number": 3})[0] == "shop/test: run 3"


def test_what_was_seen_in_the_rehearsal() -> None:
    record = {**replace(RECORD, rehearsal=REHEARSAL[1:]).result(), "number": 3}
    assert FilterModule().filters()["run_details"](record)[8:10] == [
        "  rehearsal  20260102000000_quick: 0.110 s; at most 2 kB of WAL, the database 3.1 GB; not all locks were seen",
        "               shop.users: ACCESS EXCLUSIVE 0.100 s; gone",
    ]
