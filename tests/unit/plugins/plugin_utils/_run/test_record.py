# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.record import (
    UNREACHABLE,
    Phase,
    Record,
    error,
    phases,
    shortened,
    stopped,
)

RECORD = Record(
    application="shop", environment="test", verb="deploy", release="3f1d", started="2026-01-02T03:04:05+00:00",
    finished="2026-01-02T03:05:05+00:00", status="succeeded",
    phases=[Phase("database", "db", "ok", 2.5), Phase("release", "one", "ok", 10.25)], facts={"backup": "none is due"},
)  # fmt: skip
FAILED = replace(RECORD, status="failed", failed_phase="migrate", error="db: there is no such table")


def test_what_the_ledger_keeps() -> None:
    kept = RECORD.result()
    assert kept["format"] == 1
    assert kept["phases"][1] == {"name": "release", "host": "one", "status": "ok", "seconds": 10.25}
    assert not {"failed_phase", "error"} & kept.keys()
    assert FAILED.result() == {
        **kept, "status": "failed", "failed_phase": "migrate", "error": "db: there is no such table"
    }  # fmt: skip


def test_what_the_report_says() -> None:
    told = replace(RECORD, facts={"backup": "none is due", "drift": "", "migrations": "1_a, 2_b, 3_c, 4_d, 5_e"})
    assert told.report("/s/deployments.jsonl") == [
        "shop/test: deploy succeeded",
        "  backup      none is due",
        "  migrations  1_a, 2_b and 3 more",
        "  record      /s/deployments.jsonl",
    ]
    assert told.report("")[0] == "shop/test: deploy succeeded, nothing was written (check mode)"
    assert not [line for line in told.report("") if "record" in line]


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
    assert FAILED.failure(lasting, place) == "\n".join([first, *lines])


def test_phases_of_all_hosts_are_in_the_order_of_the_hosts() -> None:
    one = {"name": "release", "host": "one", "status": "ok", "seconds": "1.5"}
    assert phases({"two": [{**one, "host": "two"}], "db": [], "one": [one]}) == [
        Phase("release", "two", "ok", 1.5), Phase("release", "one", "ok", 1.5)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("errors", "several", "text"),
    [
        ({"db": "no table"}, False, "no table"),
        ({"db": "no table"}, True, "db: no table"),
        ({"one": "", "two": "no port"}, True, "two: no port"),
        ({"one": "no port", "two": "no disk"}, True, "one: no port\ntwo: no disk"),
        ({"one": ""}, True, UNREACHABLE),
        ({}, False, UNREACHABLE),
    ],
)
def test_the_error_of_a_run_is_that_of_its_hosts(errors: dict[str, str], several: bool, text: str) -> None:
    assert error(errors, several) == text


def test_a_run_goes_on_unless_a_host_has_an_error() -> None:
    assert stopped({}) == ""
    assert stopped({"one": "", "two": "x"}) == (
        "A phase failed, so nothing more is done: see its error above, at one, two."
    )
