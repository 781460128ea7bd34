# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.deployment_record import Record
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.report import failure, notice, report, shortened
from support.runs import FAILED, RECORD


def test_what_the_report_says() -> None:
    told = replace(RECORD, facts={"backup": "none is due", "drift": "", "migrations": "1_a, 2_b, 3_c, 4_d, 5_e"})
    assert report(told, "/s/deployments.jsonl") == [
        "shop/test: deploy succeeded",
        "  backup      none is due",
        "  migrations  1_a, 2_b and 3 more",
        "  record      /s/deployments.jsonl",
    ]
    assert report(told, "")[0] == "shop/test: deploy succeeded, nothing was written (check mode)"
    assert not [line for line in report(told, "") if "record" in line]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("", ""),
        ("1_a", "1_a"),
        ("1_a, 2_b, 3_c, 4_d", "1_a, 2_b, 3_c, 4_d"),
        ("1, 2, 3, 4, 5", "1, 2 and 3 more"),
        ("x, and y, or z, but no, then yes", "x, and y, or z, but no, then yes"),
    ],
)
def test_a_long_list_is_shortened(text: str, short: str) -> None:
    assert shortened(text) == short


@pytest.mark.parametrize(
    ("lasting", "place", "lines"),
    [
        ("", "", []),
        ("", "/s/deployments.jsonl on db", ["The run is recorded in /s/deployments.jsonl on db."]),
        ("What it did stays.", "/s on db", ["What it did stays.", "The run is recorded in /s on db."]),
    ],
)
def test_how_a_run_that_failed_ends(lasting: str, place: str, lines: list[str]) -> None:
    first = "Deploy of shop/test failed in phase migrate, as told above."
    assert failure(FAILED, lasting, place) == "\n".join([first, *lines])


@pytest.mark.parametrize(
    ("record", "before", "title", "body", "kind"),
    [
        (RECORD, "", "shop/test: deploy succeeded", "told", "success"),
        (RECORD, "succeeded", "shop/test: deploy succeeded", "told", "success"),
        (RECORD, "failed", "shop/test: deploy succeeded, after a run that failed", "told", "success"),
        (FAILED, "failed", "shop/test: deploy failed", "told\ndb: there is no such table", "failure"),
    ],
)
def test_what_those_are_told_who_are_not_there(record: Record, before: str, title: str, body: str, kind: str) -> None:
    assert notice(record, "told", before) == (title, body, kind)
