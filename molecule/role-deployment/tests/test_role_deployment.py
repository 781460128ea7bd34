# SPDX-License-Identifier: GPL-3.0-or-later
"""Lock and ledger of role deployment alone: seen in the state directory and in the records."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.role import STATE, files, refused, use

DIRECTORY = STATE / "shop"


def ledger() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DIRECTORY / "deployments.jsonl").read_text().splitlines()]


def test_the_run_is_recorded() -> None:
    newest = ledger()[-1]
    assert (newest["verb"], newest["status"], newest["release"]) == ("deploy", "succeeded", "one")
    assert newest["facts"]["address"] == "http://127.0.0.1"
    assert {path.suffix for path in (STATE / "records").iterdir() if path.is_file()} >= {".html", ".json"}


def test_the_lock_is_released_and_the_directory_its_owners() -> None:
    assert not (DIRECTORY / "lock.json").exists()
    assert DIRECTORY.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"deployment_key": "/no/such"}, "/no/such is to sign the record of this run, but there is no such file"),
        ({"deployment_wait": "long"}, "argument 'deployment_wait' is of type str"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(variables: dict[str, object], said: str) -> None:
    before = files()
    assert said in refused(**variables)
    assert files() == before


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        ({"controller": "another.example.com", "boot": "another"}, "another.example.com"),
        (
            {"environment": "prod"},
            "is of shop/prod, as its lock says, but this inventory is shop/molecule: nothing was",
        ),
    ],
)
def test_a_lock_that_another_run_holds_is_refused_with_its_holder(holder: dict[str, str], said: str) -> None:
    status, output = use(scenario_records=False)  # which ends, and leaves its lock
    assert not status, output
    lock = json.loads((DIRECTORY / "lock.json").read_text())
    (DIRECTORY / "lock.json").write_text(json.dumps({**lock, **holder}))
    before = files()
    try:
        assert said in refused()
        assert files() == before
    finally:
        (DIRECTORY / "lock.json").unlink()
