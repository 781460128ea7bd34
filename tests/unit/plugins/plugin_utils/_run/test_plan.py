# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan is held against what a run would do, part by part; it can be read only as what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.slipway.deploy.plugins.module_utils._errors import SlipwayError
from ansible_collections.slipway.deploy.plugins.plugin_utils._run.plan import differences, digest, digests, read, write

PLAN: dict[str, Any] = {
    "application": "shop",
    "environment": "prod",
    "by": "ada",
    "revision": "c0ffee",
    "release": "0123456789ab",
    "images": {"database": "postgres:17"},
    "hosts": {"database": ["db"], "backend": ["one", "two"]},
    "migrations": {"1_a": "aa", "2_b": "bb"},
    "variables": {"app_port": "x"},
    "serving": "ba9876543210",
    "pending": ["2_b"],
}
CHANGES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"by": "bob", "revision": "decaf"}, []),  # who made it, and of which commit, changes nothing that is done
    ({"environment": "test"}, ["the environment is test, not prod"]),
    ({"release": "fff"}, ["the release is fff, not 0123456789ab"]),
    (
        {"images": {"database": "postgres:18", "frontend": "nginx"}},
        ["image database is postgres:18, not postgres:17", "image frontend is nginx, not unknown"],
    ),
    ({"hosts": {"database": ["db"], "backend": ["one"]}}, ["group backend is one, not one, two"]),
    (
        {"migrations": {"1_a": "other", "3_c": "cc"}},
        ["migration 1_a differs", "migration 2_b is no more", "migration 3_c is new"],
    ),
    ({"variables": {}}, ["variable app_port is no more"]),
    ({"serving": ""}, ["the release that serves is none, not ba9876543210"]),
    ({"pending": []}, ["what is pending is nothing, not 2_b"]),
    ({"pending": None}, ["what is pending is unknown, not 2_b"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_what_differs_is_named(change: dict[str, Any], said: list[str]) -> None:
    assert differences(PLAN, {**PLAN, **change}) == said


def test_what_is_not_known_yet_is_not_compared() -> None:
    assert differences(PLAN, {part: value for part, value in PLAN.items() if part not in ("serving", "pending")}) == []


def test_what_an_approval_lacks_differs() -> None:
    assert differences({}, {"release": "fff"}) == ["the release is fff, not unknown"]


def test_secrets_and_what_is_about_the_run_are_no_part_of_it() -> None:
    told = {"app_port": 80, "password": "x", "confirm": "prod", "approved": "f", "of_ansible": 1}
    found = digests(told, ["app_port", "password", "confirm", "approved", "unset"], ["password"])
    assert found == {"app_port": digest(80)}


def test_a_digest_is_of_what_was_written() -> None:
    vaulted = object()
    assert digest({"a": [1, "{{ b }}"]}) == digest({"a": (1, "{{ b }}")})
    assert digest({"a": vaulted}) == digest({"a": object()})
    assert len({digest(value) for value in (80, "80", [80], None, {}, vaulted)}) == 6


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    write(file, PLAN)
    assert differences(read(file), PLAN) == []
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read: No such file or directory"),
        ("{", "is no plan: it is no JSON"),
        ("[]", "is no plan of format 1"),
        ('{"format": 2}', "is no plan of format 1"),
    ],
)
def test_what_is_no_plan_says_so(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "plan.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SlipwayError, match=said):
        read(file)


def test_a_place_for_no_plan(tmp_path: Path) -> None:
    with pytest.raises(
        SlipwayError, match=r"The plan can't be written to .*/none/plan.json: No such file or directory"
    ):
        write(tmp_path / "none" / "plan.json", PLAN)
