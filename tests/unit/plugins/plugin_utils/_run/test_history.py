# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger's records as an operator reads them, also those that an earlier Slipway wrote."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.history import backup, details, migrations, row, short
from support.runs import FAILED, RECORD

RUN = {"user": "ada", "controller": "laptop", "pid": 12}
COMMIT = "4420ba2e4b8833e6f6b0dcf02d3165683acb5a21"


def test_a_row() -> None:
    facts = {"backup": "20261126T015740.710Z_004d", "migrations": "20260101_a, 20260102_b"}
    record = {**RECORD.result(), "number": 7, "run": RUN, "revision": f"{COMMIT}-dirty", "facts": facts}
    assert row(record) == [
        "7", "2026-01-02 03:05", "deploy", "ada laptop", "3f1d 4420ba2+", "2", "yes", "60", "succeeded",
    ]  # fmt: skip


def test_the_row_of_a_failure_and_of_an_old_record() -> None:
    failed = {
        **FAILED.result(),
        "number": 8,
        "run": RUN,
        "finished": "2026-01-02T03:04:15",
        "started": "2026-01-02T03:04:05",
    }
    del failed["revision"]
    assert row(failed) == [
        "8", "2026-01-02 03:04", "deploy", "ada laptop", "3f1d", "-", "-", "10", "failed in migrate"
    ]  # fmt: skip
    assert row({"number": 1}) == ["1", "", "", "", "-", "-", "-", "-", ""]


def test_one_in_full() -> None:
    facts = {
        "backup": "none is due",
        "migrations": "20260101_a, 20260102_b",
        "release": "3f1d",
        "more": {"a": 1},
        "no": "",
    }
    ran = {"hook": "before_migrate", "command": "./check", "seconds": 1.5, "output": "well\nso far"}
    record = {**FAILED.result(), "number": 7, "run": RUN, "revision": COMMIT, "facts": facts, "error": "one\ntwo",
              "hooks": [ran]}  # fmt: skip
    assert details(record) == [
        "shop/test: run 7",
        "  verb        deploy",
        "  outcome     failed in migrate",
        "  started     2026-01-02T03:04:05+00:00",
        "  finished    2026-01-02T03:05:05+00:00",
        "  seconds     60",
        "  who         ada",
        "  from        laptop, pid 12",
        "  release     3f1d",
        f"  revision    {COMMIT}",
        "  backup      none is due",
        '  more        {"a": 1}',
        "  migrations  20260101_a",
        "              20260102_b",
        "  hooks       before_migrate: ./check, 1.5 s",
        "                well",
        "                so far",
        "  phases      database at db: ok, 2.5 s",
        "              release at one: ok, 10.25 s",
        "  error       one",
        "              two",
    ]
    assert details({**record, "facts": {"migrations": "none is pending"}})[10] == "  migrations  none is pending"
    assert details({"number": 1}) == ["/: run 1"]


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({}, []),
        ({"migrations": ""}, []),
        ({"migrations": "none is pending"}, []),
        ({"migrations": "would be applied: 20260101_a"}, []),
        ({"migrations": "20260101_a"}, ["20260101_a"]),
        ({"migrations": "20260101_a, 20260102_b"}, ["20260101_a", "20260102_b"]),
    ],
)
def test_the_migrations_of_a_run(facts: dict[str, Any], names: list[str]) -> None:
    assert migrations(facts) == names


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({}, ""),
        ({"backup": "none is due"}, ""),
        ({"backup": "20261126T015740.710Z_004d"}, "20261126T015740.710Z_004d"),
        ({"backup": "20261126T015740.710Z_004d, not proved: view v"}, "20261126T015740.710Z_004d"),
        ({"restored": "20261126T015740.710Z_004d"}, "20261126T015740.710Z_004d"),
    ],
)
def test_the_backup_of_a_run(facts: dict[str, Any], name: str) -> None:
    assert backup(facts) == name


@pytest.mark.parametrize(("revision", "shown"), [("", ""), (COMMIT, "4420ba2"), (f"{COMMIT}-dirty", "4420ba2+")])
def test_a_commit_as_git_shortens_it(revision: str, shown: str) -> None:
    assert short(revision) == shown
