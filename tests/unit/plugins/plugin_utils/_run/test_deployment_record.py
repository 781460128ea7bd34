# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.deployment_record import (
    UNREACHABLE,
    Phase,
    error,
    of_ledger,
    phases,
    stopped,
)
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.evidence import evidence
from support.runs import FAILED, FOUND, RECORD


def test_what_the_ledger_keeps() -> None:
    kept = RECORD.result()
    assert kept["format"] == 1
    assert kept["phases"][1] == {"name": "release", "host": "one", "status": "ok", "seconds": 10.25, "started": ""}
    absent = {
        "failed_phase",
        "error",
        "rehearsal",
        "hooks",
        "probe",
        "former",
        "images",
        "applied",
        "backup",
        "verification",
        "schema",
    }
    assert not absent & kept.keys()
    assert replace(RECORD, rehearsal=[{"migration": "1_a"}]).result() == {**kept, "rehearsal": [{"migration": "1_a"}]}
    assert replace(RECORD, hooks=[{"hook": "on_failure"}]).result() == {**kept, "hooks": [{"hook": "on_failure"}]}
    assert FAILED.result() == {
        **kept, "status": "failed", "failed_phase": "migrate", "error": "db: there is no such table"
    }  # fmt: skip


def test_the_evidence_is_part_of_it_and_the_ledger_has_all_but_the_schema() -> None:
    kept = replace(RECORD, evidence=evidence(FOUND)).result()
    assert kept.keys() - RECORD.result().keys() == {"former", "images", "applied", "backup", "verification", "schema"}
    assert kept["applied"] == [
        {"name": "20260101000000_amounts_are_big", "seconds": 4.5, "statements": 3, "attempts": 2}
    ]
    assert kept.keys() - of_ledger(kept).keys() == {"schema"}


def test_phases_of_all_hosts_are_in_the_order_of_the_hosts() -> None:
    one = {"name": "release", "host": "one", "status": "ok", "seconds": "1.5"}
    assert phases({"two": [{**one, "host": "two"}], "db": [], "one": [one]}) == [
        Phase("release", "two", "ok", 1.5), Phase("release", "one", "ok", 1.5)
    ]  # fmt: skip
    assert phases({"one": [{**one, "started": "1767323045.25"}]})[0].started == "2026-01-02T03:04:05.250+00:00"


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


def test_a_lost_host_is_named_behind_the_errors_of_others() -> None:
    gone = "two can't be reached any more; see Ansible's own words above."
    assert error({}, False, ["two"]) == gone
    assert error({"one": "no port", "db": ""}, True, ["two"]) == f"one: no port\n{gone}"


def test_a_run_goes_on_unless_a_host_has_an_error() -> None:
    assert stopped({}) == ""
    assert stopped({"one": "", "two": "x"}) == (
        "A phase failed, so nothing more is done: see its error above, at one, two."
    )
